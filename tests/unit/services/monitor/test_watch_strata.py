"""A release under watch whose traffic has segments, strata and hours."""

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest

from services.monitor.domain.sample import Alarm, Sample
from services.monitor.domain.strata import season
from services.monitor.domain.watch import watch

from .traffic import Traffic
from .watching import until_alarm


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
