"""A release under watch: what an alarm says is the cause."""

from dataclasses import replace

import numpy as np

from services.monitor.domain.fitting import MEAN_LOGPROB
from services.monitor.domain.sample import Alarm, Sample
from services.monitor.domain.watch import watch

from .traffic import Traffic
from .watching import after, quiet, until_alarm


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
