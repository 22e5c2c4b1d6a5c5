"""A release under watch: reference, alarms and their evidence."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest

from services.monitor.domain.fitting import MEAN_LOGPROB, PROMPT_EMBEDDING
from services.monitor.domain.ratings import SHARE
from services.monitor.domain.sample import Alarm, Sample
from services.monitor.domain.strata import season
from services.monitor.domain.watch import Watch, watch

from .traffic import Traffic


def after(reference: int, traffic: Traffic, wanted: int = 300) -> Watch:
    found = watch("support", "release-1", wanted, 100_000)
    for _ in range(reference):
        assert found.observe(traffic.sample()) == []
    return found


def until_alarm(found: Watch, traffic: Traffic, most: int = 2_000, **shift: float) -> list[Alarm]:
    for _ in range(most):
        if alarms := found.observe(traffic.sample(**shift)):  # type: ignore[arg-type]
            return alarms
    return []


def test_the_reference_is_collected_before_anything_is_judged() -> None:
    traffic = Traffic(1)

    early, found = after(299, Traffic(1)), after(300, traffic)

    assert not early.watching
    assert found.watching
    assert found.collected == 300
    names = [signal.name for signal in found.signals]
    assert names == [PROMPT_EMBEDDING, MEAN_LOGPROB, "length", "broken_input", "duplicates"]
    assert found.signals[0].calibrated == 200
    assert found.signals[0].events == 0


def test_quiet_traffic_rings_nothing() -> None:
    for seed in range(3):
        after(1_500, Traffic(seed))


@pytest.mark.parametrize("seed", range(3))
def test_a_far_topic_rings_within_thirty_events_with_its_evidence(seed: int) -> None:
    traffic = Traffic(seed)
    found = after(600, traffic)

    [alarm] = until_alarm(found, traffic, far=True)

    assert (alarm.signal, alarm.cause, alarm.release) == (PROMPT_EMBEDDING, "input", "release-1")
    assert alarm.at_event <= 330
    assert alarm.statistic >= alarm.threshold
    assert alarm.reference_events == 300
    assert alarm.generation_id == f"generation-{traffic.made}"
    assert alarm.cells[0].growth > 0.05
    assert alarm.examples[0].startswith("far")
    assert len(alarm.examples) <= 5


def test_after_an_input_alarm_the_release_says_nothing_more() -> None:
    traffic = Traffic(4)
    found = after(400, traffic)
    until_alarm(found, traffic, far=True)

    assert until_alarm(found, traffic, most=300, far=True, logprob_shift=-1.0) == []


def test_a_change_of_behaviour_is_told_apart_from_a_change_of_topic() -> None:
    traffic = Traffic(5)
    found = after(600, traffic)

    [alarm] = until_alarm(found, traffic, logprob_shift=-0.15)

    assert (alarm.signal, alarm.cause) == (MEAN_LOGPROB, "behaviour")


def test_a_remix_of_known_topics_moves_the_logprob_and_is_not_called_behaviour() -> None:
    """Topics 4 and 5 have the lowest log-probabilities; the residual does not move."""
    traffic = Traffic(6)
    found = after(600, traffic, wanted=600)

    alarms: list[Alarm] = []
    while not alarms and traffic.made < 4_000:
        sample = traffic.sample()
        if sample.logprob < -1.3:
            alarms = found.observe(replace(sample, logprob=sample.logprob))

    assert alarms[0].cause == "input"


def test_one_event_per_episode_counts() -> None:
    traffic = Traffic(7)
    found = watch("support", "release-1", 300, 100_000)
    sample = traffic.sample()

    for _ in range(10):
        found.observe(sample)

    assert len(found.held.generations) == 1
    assert found.duplicates == 9


def test_an_answer_without_an_embedding_or_with_another_length_is_left_out() -> None:
    traffic = Traffic(8)
    found = watch("support", "release-1", 300, 100_000)
    found.observe(traffic.sample())

    for length in (0, 5):
        found.observe(replace(traffic.sample(), vector=np.ones(length, np.float16)))

    assert (found.unusable, len(found.held.generations)) == (2, 1)


def test_without_log_probabilities_the_prompts_are_watched_alone() -> None:
    traffic = Traffic(9)
    found = watch("support", "release-1", 300, 100_000)

    for _ in range(400):
        found.observe(replace(traffic.sample(), logprob=float("nan")))
    [alarm] = until_alarm(found, traffic, far=True)

    assert MEAN_LOGPROB not in [signal.name for signal in found.signals]
    assert alarm.cause == "input"


def test_equal_prompts_throughout_are_a_valid_reference() -> None:
    traffic = Traffic(10)
    found = watch("support", "release-1", 60, 100_000)
    same = traffic.sample().vector

    for _ in range(200):
        assert found.observe(replace(traffic.sample(), vector=same)) == []

    assert until_alarm(found, traffic, far=True)[0].cause == "input"


def test_the_behaviour_is_judged_on_familiar_prompts_only() -> None:
    traffic = Traffic(11)
    found = after(300, traffic)
    behaviour = found.signals[1]
    assert found.fit is not None
    assert found.fit.embedding is not None
    found.fit = replace(found.fit, embedding=replace(found.fit.embedding, familiar=-1.0))

    for _ in range(50):
        found.observe(traffic.sample(logprob_shift=-5.0))

    assert found.signals[0].events == 50
    assert behaviour.events == 0


def quiet(found: Watch, traffic: Traffic, events: int, **known: Any) -> Watch:
    for _ in range(events):
        assert found.observe(replace(traffic.sample(), **known)) == []
    return found


def test_words_that_change_name_their_cause() -> None:
    for known, later, cause in (
        ({"served_model": "m-1"}, {"served_model": "m-2"}, "provider"),
        ({"guard_verdict": "allow"}, {"guard_verdict": "block"}, "guard"),
        ({"language": "en"}, {"language": "de"}, "input"),
        ({"refused": False}, {"refused": True}, "behaviour"),
    ):
        traffic = Traffic(12)
        found = quiet(watch("support", "release-1", 120, 100_000), traffic, 200, **known)

        alarms: list[Alarm] = []
        while not alarms and traffic.made < 300:
            alarms = found.observe(replace(traffic.sample(), **later))

        assert [alarm.cause for alarm in alarms] == [cause]


def test_answers_that_cost_more_ring_as_the_system_and_longer_prompts_explain_theirs() -> None:
    traffic, random = Traffic(12), np.random.default_rng(12)
    found = watch("support", "release-1", 300, 100_000)

    def priced(times: float = 1.0) -> Sample:
        sample, words = traffic.sample(), int(random.integers(1, 40))
        cost = 1e-4 * words * float(np.exp(0.1 * random.normal())) * times
        return replace(sample, prompt=f"{sample.prompt} {'word ' * words}", cost=cost)

    for _ in range(600):
        assert found.observe(priced()) == []
    alarms: list[Alarm] = []
    while not alarms and traffic.made < 800:
        alarms = found.observe(priced(1.5))

    assert [(alarm.signal, alarm.cause) for alarm in alarms] == [("cost", "system")]


def test_what_the_reference_lacks_is_not_watched() -> None:
    found = quiet(watch("support", "release-1", 120, 100_000), Traffic(13), 150, cost=0.0)

    names = {signal.name for signal in found.signals}
    assert not names & {"language", "guard_verdict", "served_model", "latency", "retrieval_score"}
    assert "cost" not in names, "nothing has a price"


def test_the_shares_of_the_signals_make_one_budget() -> None:
    traffic = Traffic(14)
    found = watch("support", "release-1", 450, 100_000)
    languages = np.random.default_rng(1).choice(["en", "de"], size=450)
    for language in languages:
        found.observe(replace(traffic.sample(), language=str(language)))

    rates = [1 / signal.average_run_length for signal in found.signals]
    assert sum(rates) + SHARE / 200_000 == pytest.approx(1 / 200_000), "the rest is the ratings'"
    assert rates[0] > 0.4 * sum(rates)


def test_an_alarm_of_a_segment_names_it_and_shows_its_prompts() -> None:
    """One language in four turns to a topic that the other knew all along."""
    traffic, random = Traffic(15), np.random.default_rng(2)
    found = watch("support", "release-1", 900, 100_000)
    alarms: list[Alarm] = []
    for number in range(4_000):
        german = random.random() < 0.3
        sample = traffic.sample()
        while german and (sample.logprob < -1.25) != (number > 900):
            sample = traffic.sample()
        alarms += found.observe(replace(sample, language="de" if german else "en"))
        if alarms:
            break

    assert alarms[0].cause == "input"
    assert {signal.segment for signal in found.signals} >= {"language=de", "language=en"}


def test_an_alarm_shows_the_words_and_the_prompts_before() -> None:
    traffic = Traffic(16)
    found = after(600, traffic)

    [alarm] = until_alarm(found, traffic, far=True)

    assert "far" in alarm.terms
    assert alarm.examples_before
    assert all(prompt.startswith("near") for prompt in alarm.examples_before)
    assert alarm.seed == found.seed


def test_broken_prompts_ring_as_a_matter_of_the_data() -> None:
    for prompt in ("", "caf\u00c3\u00a9 \ufffd", "x\x00y"):
        traffic = Traffic(17)
        found = quiet(watch("support", "release-1", 120, 100_000), traffic, 200)

        alarms: list[Alarm] = []
        while not alarms and traffic.made < 300:
            alarms = found.observe(replace(traffic.sample(), prompt=prompt))

        assert "data" in [alarm.cause for alarm in alarms] or alarms[0].signal == "length"


def test_a_flood_of_near_copies_is_left_out_and_rings_as_a_matter_of_the_data() -> None:
    traffic = Traffic(18)
    found = after(400, traffic)
    same = traffic.sample().vector

    alarms: list[Alarm] = []
    for _ in range(60):
        alarms += found.observe(replace(traffic.sample(), vector=same))

    assert [(alarm.signal, alarm.cause) for alarm in alarms] == [("duplicates", "data")]
    assert found.copies > 50


def test_without_embeddings_the_words_and_numbers_are_watched() -> None:
    traffic = Traffic(19)
    found = watch("support", "release-1", 120, 100_000)
    for _ in range(300):
        found.observe(replace(traffic.sample(), vector=np.zeros(0, np.float16)))

    assert [signal.name for signal in found.signals][:2] == [MEAN_LOGPROB, "length"]


def test_sticky_topics_lengthen_the_reference_and_say_so() -> None:
    traffic, held = Traffic(20), Traffic(21).sample()
    found = watch("support", "release-1", 90, 100_000)
    topics = np.repeat(np.arange(40) % 6, 12)
    for topic in topics:
        vector = traffic.centres[topic] + 0.7 * traffic.random.normal(size=len(held.vector))
        found.observe(replace(traffic.sample(), vector=vector.astype(np.float16)))
        if not found.watching and found.wanted > 90:
            break

    assert found.wanted == 180
    assert found.notes[0].startswith("prompt_embedding: too small")


def apart(traffic: Traffic, stratum: str, topics: tuple[int, ...], at: float = 0.0) -> Sample:
    """A prompt of one of the topics."""
    sample, topic = traffic.sample(), int(traffic.random.choice(topics))
    vector = traffic.centres[topic] + 0.7 * traffic.random.normal(size=len(sample.vector))
    return replace(sample, vector=vector.astype(np.float16), stratum=stratum, at=at)


def test_strata_without_a_reference_are_left_out_and_said() -> None:
    """Each of them steady: ranked among each other they would look like a change."""
    topics, traffic = {"a": (0, 1), "b": (2, 3), "c": (4, 5)}, Traffic(22)
    found = watch("support", "release-1", 300, 100_000)

    alarms: list[Alarm] = []
    for stratum in "a" * 500 + "b" * 500 + "c" * 500 + "b" * 500:
        alarms += found.observe(apart(traffic, stratum, topics[stratum]))

    assert alarms == []
    assert found.strange == 1_500
    assert found.remarks == [
        "strata not watched, too few reference rows: 'b', 'c'",
        "1500 answers of strata that are not watched",
    ]
    assert until_alarm(found, traffic, far=True) == []
    rang = [found.observe(apart(traffic, "a", (6, 7))) for _ in range(60)]
    assert any(rang)


def test_a_reference_waits_for_each_stratum_that_it_sees() -> None:
    traffic, found = Traffic(23), watch("support", "release-1", 150, 100_000)
    for number in range(1_250):
        found.observe(apart(traffic, "night" if number % 6 == 0 else "day", (0, 1, 2)))
        if number == 500:
            assert found.notes[0].endswith("too few reference rows: 'night'")

    assert found.watching
    assert found.tables.own == ["day", "night"]


def test_by_season_the_reference_takes_a_week_and_no_hour_fills_it_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("services.monitor.domain.watch.MOST_STRATUM", 150)
    traffic, monday = Traffic(24), datetime(2026, 11, 23, tzinfo=UTC).timestamp()
    found = watch("support", "release-1", 300, 100_000, seasonal=True)

    watching: list[int] = []
    for hour in range(24 * 7 + 2):
        at = monday + hour * 3_600
        if season(at) == "weekend night":  # nobody asks
            continue
        for _ in range(9):
            found.observe(apart(traffic, season(at), (0, 1, 2), at))
        watching += [hour] if found.watching else []

    assert watching[0] == 24 * 7
    assert found.tables.silent == ["weekend night"]
    assert len(found.tables.own) == 7
    assert found.signals[0].calibrated <= 7 * 160


def test_an_ordinary_conversation_does_not_ring_but_its_retries_do() -> None:
    traffic, random = Traffic(25), np.random.default_rng(25)
    found = watch("support", "release-1", 300, 10_000)
    alarms: list[Alarm] = []

    def turn(number: int) -> Sample:
        """Of one of forty conversations, three turns each."""
        slot = int(random.integers(40))
        return replace(traffic.sample(), episode=f"{slot}-{number // 120}")

    for number in range(2_500):
        alarms += found.observe(turn(number))
    assert alarms == []

    for number in range(2_500, 2_600):
        sample = turn(number)
        for _ in range(3):
            alarms += found.observe(sample)
    assert [(alarm.signal, alarm.cause) for alarm in alarms] == [("duplicates", "data")]
    assert "same episode" in [shift.cell for shift in alarms[0].cells[:2]]


def test_a_promise_for_this_very_reference_is_kept_by_another_detector() -> None:
    traffic = Traffic(23)
    found = watch("support", "release-1", 900, 10_000, conditional=True)
    for _ in range(1_000):
        assert found.observe(traffic.sample()) == []

    [alarm] = until_alarm(found, traffic, far=True)

    assert alarm.cause == "input"
    assert alarm.at_event < 200
