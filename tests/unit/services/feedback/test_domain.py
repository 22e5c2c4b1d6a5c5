"""The join: whatever the order and the repeats, the same feedback is joined in the end."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from services.feedback import domain
from services.feedback.domain import (
    Code,
    Feedback,
    Generation,
    Held,
    Joined,
    Limits,
    Output,
    Refused,
    Slot,
    Totals,
    join,
)

NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)
GENERATION = Generation(
    generation_id="0190a000-0000-7000-8000-000000000001",
    application="bank",
    release_digest="r" * 64,
    campaign_id="",
    role="ROLE_CHAMPION",
    canary_share=0.05,
    episode_id="e",
    subject="s",
    labels={"channel": "app"},
    prompt="How?",
    answer="So.",
    served_at=NOON,
)
FEEDBACK = Feedback(
    feedback_id="f",
    version=1,
    generation_id=GENERATION.generation_id,
    application="bank",
    rating=0.5,
    correction="",
    comment="",
    withdrawn=False,
    given_at=NOON,
)


def fold(events: Sequence[Generation | Feedback]) -> tuple[Slot, list[Output]]:
    slot, said = Slot(opened_at=NOON), list[Output]()
    for event in events:
        slot, outputs = join(slot, event)
        said += outputs
    return slot, said


def last_word(outputs: Sequence[Output]) -> dict[str, Output]:
    """The output of the highest version of each feedback identity."""
    final: dict[str, Output] = {}
    for output in outputs:
        known = final.get(output.feedback.identity)
        if known is None or output.feedback.version > known.feedback.version:
            final[output.feedback.identity] = output
    return final


def test_feedback_that_comes_before_its_answer_waits_for_it() -> None:
    _, before = fold([FEEDBACK])
    _, after = fold([FEEDBACK, GENERATION])

    assert before == []
    assert after == [Joined(FEEDBACK, GENERATION)]


def test_feedback_that_comes_after_its_answer_is_joined_at_once() -> None:
    _, said = fold([GENERATION, FEEDBACK])

    assert said == [Joined(FEEDBACK, GENERATION)]


def test_the_same_version_again_changes_nothing_and_says_nothing() -> None:
    once, said_once = fold([GENERATION, FEEDBACK])

    twice, said_twice = fold([GENERATION, FEEDBACK, FEEDBACK, GENERATION])

    assert (twice, said_twice) == (once, said_once)


def test_a_higher_version_is_joined_again() -> None:
    second = replace(FEEDBACK, version=2, rating=0.9)

    _, said = fold([GENERATION, FEEDBACK, second])

    assert said == [Joined(FEEDBACK, GENERATION), Joined(second, GENERATION)]


def test_a_lower_version_that_comes_late_is_ignored() -> None:
    second = replace(FEEDBACK, version=2)

    _, said = fold([GENERATION, second, FEEDBACK])

    assert said == [Joined(second, GENERATION)]


def test_feedback_on_another_applications_answer_is_refused_in_either_order() -> None:
    foreign = replace(FEEDBACK, application="shop")

    _, first = fold([foreign, GENERATION])
    _, then = fold([GENERATION, foreign])

    assert [output.code for output in first if isinstance(output, Refused)] == [Code.FOREIGN]
    assert first == then


def test_an_application_cannot_overtake_the_feedback_id_of_another() -> None:
    hostile = replace(FEEDBACK, application="shop", version=99)

    _, said = fold([hostile, GENERATION, FEEDBACK])

    assert Joined(FEEDBACK, GENERATION) in said


def test_a_shadow_takes_no_feedback() -> None:
    _, said = fold([replace(GENERATION, shadow=True), FEEDBACK])

    assert [output.code for output in said if isinstance(output, Refused)] == [Code.SHADOW]


def test_the_number_of_feedback_ids_that_wait_is_bounded() -> None:
    crowd = [replace(FEEDBACK, feedback_id=f"f{n}") for n in range(domain.WAITING_PER_SLOT + 1)]

    slot, said = fold(crowd)

    assert [output.code for output in said if isinstance(output, Refused)] == [Code.CROWDED]
    assert len(slot.waiting) == domain.WAITING_PER_SLOT


def test_joined_feedback_leaves_no_text_in_the_state() -> None:
    slot, _ = fold([replace(FEEDBACK, correction="a long text"), GENERATION])

    assert slot.waiting == {}
    assert slot.versions == {FEEDBACK.identity: 1}


def test_what_waits_too_long_is_owed_a_refusal() -> None:
    slot, _ = fold([FEEDBACK])

    refused = domain.leftover(slot)

    assert [(one.feedback, one.code) for one in refused] == [(FEEDBACK, Code.MISSING)]


def test_each_bound_is_named() -> None:
    limits = Limits(timedelta(days=7), timedelta(hours=1), slots=10, bytes=100)
    minute, day = timedelta(minutes=1), timedelta(days=1)

    bounds = [
        limits.broken(minute, True, 10, 100),
        limits.broken(day, True, 10, 100),
        limits.broken(day, False, 10, 100),
        limits.broken(minute, True, 11, 100),
        limits.broken(minute, True, 10, 101),
    ]

    assert bounds == [None, None, "age", "number", "bytes"]


def held(number: int, minutes: int, answered: bool = True) -> Held:
    return Held(f"g{number}", NOON - timedelta(minutes=minutes), answered, 10)


def test_the_oldest_make_room_until_the_bounds_hold() -> None:
    limits = Limits(timedelta(days=7), timedelta(hours=1), slots=4, bytes=20)
    oldest = [held(number, minutes=9 - number) for number in range(5)]

    found = domain.overdue(limits, NOON, Totals(5, 50), oldest, waiting=[])

    assert found == {"g0": "number", "g1": "bytes", "g2": "bytes"}


def test_what_waited_too_long_is_found_behind_any_number_of_older_answers() -> None:
    limits = Limits(timedelta(days=7), timedelta(hours=1), slots=4, bytes=100)
    late, early = held(8, 61, answered=False), held(9, 59, answered=False)

    found = domain.overdue(limits, NOON, Totals(3, 30), [held(0, 600)], [late, early])

    assert found == {"g8": "age"}


feedbacks = st.builds(
    lambda identity, version, foreign: replace(
        FEEDBACK,
        feedback_id=f"f{identity}",
        version=version,
        rating=version / 10,
        application="shop" if foreign else "bank",
    ),
    st.integers(0, 3),
    st.integers(1, 4),
    st.booleans(),
)


@given(st.lists(feedbacks, max_size=8), st.booleans(), st.data())
def test_any_order_and_duplication_joins_the_same(
    given_feedback: list[Feedback], shadow: bool, data: st.DataObject
) -> None:
    events: list[Generation | Feedback] = [
        replace(GENERATION, shadow=shadow),
        *given_feedback,
    ]
    repeats = data.draw(st.lists(st.sampled_from(events), max_size=6))
    shuffled = data.draw(st.permutations([*events, *repeats]))

    straight, shaken = last_word(fold(events)[1]), last_word(fold(shuffled)[1])

    assert shaken == straight


@given(st.lists(feedbacks, max_size=8), st.data())
def test_each_version_is_said_at_most_once(
    given_feedback: list[Feedback], data: st.DataObject
) -> None:
    events: list[Generation | Feedback] = [GENERATION, *given_feedback, *given_feedback]
    shuffled = data.draw(st.permutations(events))

    _, said = fold(shuffled)

    versions = [(output.feedback.identity, output.feedback.version) for output in said]
    assert len(versions) == len(set(versions))
