"""When an alarm becomes a campaign."""

from dataclasses import replace

import pytest

from services.monitor.domain.decision import Decision, Policy, drift_event_id
from services.monitor.domain.generation import Feedback
from services.monitor.domain.watch import Alarm

POLICY = Policy(new_rows=3, cooldown_s=100.0, daily=2)
ALARM = Alarm(
    release="r1",
    signal="prompt_embedding",
    cause="input",
    statistic=12.0,
    threshold=10.0,
    average_run_length=100_000,
    at_event=310,
    reference_events=500,
    cells=(),
    examples=(),
    generation_id="g",
)


def correction(number: int, **changes: object) -> Feedback:
    plain = Feedback(
        feedback_id=f"f{number}",
        version=1,
        campaign="",
        role="champion",
        share=0.0,
        episode=f"e{number}",
        rating=None,
        prompt=f"question {number}",
        correction=f"answer {number}",
        withdrawn=False,
    )
    return replace(plain, **changes)  # type: ignore[arg-type]


def rung(rows: int) -> Decision:
    decision = Decision()
    decision.ring(ALARM, "drift-1")
    for number in range(rows):
        decision.correct(correction(number))
    return decision


def test_an_alarm_waits_for_its_rows_and_triggers_once() -> None:
    decision = rung(2)

    early = decision.decide(POLICY, now=10.0)
    decision.correct(correction(2))
    first = decision.decide(POLICY, now=11.0)
    again = decision.decide(POLICY, now=500.0)

    assert early is None
    assert first is not None
    assert (first.drift_event_id, first.release, first.new_rows) == ("drift-1", "r1", 3)
    assert again is None
    assert decision.new_rows == 0


def test_the_campaign_follows_from_the_alarm() -> None:
    first, second = rung(3).decide(POLICY, now=1.0), rung(3).decide(POLICY, now=2.0)

    assert first is not None
    assert second is not None
    assert first.campaign_id == second.campaign_id
    assert drift_event_id("a", ALARM) == drift_event_id("a", ALARM)
    assert drift_event_id("a", ALARM) != drift_event_id("a", replace(ALARM, at_event=320))


@pytest.mark.parametrize(
    "spoiled",
    [
        correction(2, withdrawn=True),
        correction(2, correction=""),
        correction(9, prompt="question 1", correction="answer 1"),
        correction(1, version=2, correction="better"),
    ],
    ids=["withdrawn", "a rating alone", "the same row again", "a new version of a row"],
)
def test_only_distinct_corrected_answers_count(spoiled: Feedback) -> None:
    decision = rung(2)

    decision.correct(spoiled)

    assert decision.new_rows == 2
    assert decision.decide(POLICY, now=1.0) is None


def test_a_withdrawn_correction_is_taken_back() -> None:
    decision = rung(3)

    decision.correct(correction(1, version=2, withdrawn=True))

    assert decision.new_rows == 2


def test_cool_down_and_budget_hold_an_alarm_back_until_they_pass() -> None:
    decision = rung(3)
    assert decision.decide(POLICY, now=0.0)
    decision.ring(ALARM, "drift-2")
    for number in range(3):
        decision.correct(correction(number))

    assert decision.decide(POLICY, now=99.0) is None
    assert decision.decide(POLICY, now=100.0)
    decision.ring(ALARM, "drift-3")
    for number in range(3):
        decision.correct(correction(number))
    assert decision.decide(POLICY, now=1_000.0) is None, "two a day"
    assert decision.decide(POLICY, now=86_401.0)


def test_a_change_of_champion_settles_the_alarm_and_its_rows() -> None:
    decision = rung(3)

    decision.crown()

    assert decision.decide(POLICY, now=1.0) is None
    assert decision.new_rows == 0


def test_a_change_of_behaviour_trains_nothing() -> None:
    decision = Decision()
    decision.ring(replace(ALARM, cause="behaviour"), "drift-1")
    for number in range(3):
        decision.correct(correction(number))

    assert decision.decide(POLICY, now=1.0) is None
