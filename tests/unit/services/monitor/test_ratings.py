"""Ratings as a signal: what counts as one, what rings, and what an alarm says."""

import re
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from libs.events.topics import DRIFT_DETECTED
from services.monitor.adapters.blob import freeze, thaw
from services.monitor.domain.application import Application
from services.monitor.domain.cause import WAIT_EVENTS
from services.monitor.domain.generation import Feedback
from services.monitor.domain.outcome import Attributed, Outcome, Rang
from services.monitor.domain.policy import Policy
from services.monitor.domain.ratings import WANTED, Ratings, ratings
from services.monitor.domain.sample import Alarm
from services.monitor.domain.verdict import Made, Trigger
from services.monitor.wire import incoming, shown

from . import traffic
from .stack import Killed, Stack, drain, produce
from .test_application import DRIFT, application, fold, those
from .test_decision import correction
from .traffic import Traffic, rated, served

POLICY = Policy(average_run_length=10_000)
DAY_S = 86_400.0


def rating(number: int, value: float, **changes: object) -> Feedback:
    return replace(incoming.feedback(rated(number, value), 0.0), **changes)  # type: ignore[arg-type]


def thumbs(count: int, good: float, seed: int = 1, first: int = 0) -> list[Feedback]:
    return [rating(*each) for each in traffic.thumbs(count, good, seed, first)]


def heard(watched: Ratings, given: Iterable[Feedback], drift: Policy = POLICY) -> list[Alarm]:
    found = [watched.observe(one, one.rating or 0.0, drift) for one in given]
    return [alarm for alarm in found if alarm is not None]


def test_thumbs_that_turn_ring_once_and_the_alarm_says_which_way() -> None:
    watched = ratings("support", "r1")
    assert heard(watched, thumbs(600, 0.9)) == []

    [alarm] = heard(watched, thumbs(600, 0.4, seed=2, first=600))

    most = alarm.cells[0]
    assert (alarm.signal, alarm.cause, alarm.reference_events) == ("feedback", "behaviour", WANTED)
    assert 400 < alarm.at_event <= 500
    assert {most.cell, alarm.cells[1].cell} == {"0 to under 1", "1"}
    assert re.fullmatch(
        r"Users rate lower: \d+ % instead of \d+ % of the ratings are under 1", alarm.change
    )
    assert alarm.generation_id == f"g{WANTED + alarm.at_event - 1}"
    assert len(alarm.examples) == 5
    assert all(example.startswith("ask ") for example in alarm.examples + alarm.examples_before)


@pytest.mark.parametrize("seed", range(4))
def test_users_who_stay_of_one_opinion_do_not_ring(seed: int) -> None:
    watched = ratings("support", f"r{seed}")

    assert heard(watched, thumbs(4_000, 0.8, seed=seed)) == []

    assert watched.signal is not None
    assert watched.signal.events == 4_000 - WANTED
    assert watched.signal.threshold == pytest.approx(np.log(2 * 10_000 / 0.05 / 10))


def test_an_episode_says_one_thing_however_often_and_under_whatever_id() -> None:
    watched, again = ratings("support", "r1"), ratings("support", "r1")
    given = thumbs(400, 0.8)
    heard(watched, given)

    changed = [replace(one, version=2, rating=0.0) for one in given]
    other = [replace(one, feedback_id=f"other {one.feedback_id}", rating=0.0) for one in given]
    assert heard(watched, [*changed, *other]) == []
    heard(again, given)

    assert watched.duplicates == 800
    assert freeze(replace(watched, duplicates=0)) == freeze(again)


@pytest.mark.parametrize(
    "changes",
    [{"role": "canary"}, {"role": "shadow"}, {"withdrawn": True}, {"rating": None}],
    ids=str,
)
def test_what_is_no_rating_of_the_champion_is_not_counted(changes: dict[str, object]) -> None:
    state = application()

    for number in range(3):
        state.rate(rating(number, 0.0, **changes), 0.0)
        state.rate(correction(number + 10, release="r1"), 0.0)

    assert all(release.ratings is None for release in state.releases.values())


def test_ratings_that_come_in_runs_are_thinned() -> None:
    """Reviewers who do forty answers of one kind at a sitting, 30 of 75 sittings bad ones."""
    sittings = np.random.default_rng(3).random(75) < 0.6
    given = [rating(place, float(one)) for place, one in enumerate(np.repeat(sittings, 40))]
    watched = ratings("support", "r1")

    assert heard(watched, given) == []

    assert watched.signal is not None
    assert watched.signal.every >= 20
    assert watched.collected > WANTED


def test_by_declaration_the_hours_are_told_apart() -> None:
    """Users who are pleased by day and cross by night, more and more of them by night."""
    random = np.random.default_rng(4)
    given: list[Feedback] = []
    for number in range(1_600):
        night = bool(random.random() < (0.3 if number < 800 else 0.7))
        value = float(random.random() < (0.3 if night else 0.95))
        given.append(rating(number, value, served_at=4 * DAY_S + (3_600 if night else 45_000)))

    together = heard(ratings("support", "r1"), given)
    apart = heard(ratings("support", "r1"), given, replace(POLICY, seasonal=True))

    assert len(together) == 1
    assert apart == []


def test_other_ratings_of_the_same_inputs_are_a_case_of_behaviour() -> None:
    state, prompts = application(), Traffic(3)
    fold(state, prompts, 200)
    outcomes = rate(state, thumbs(400, 0.9) + thumbs(200, 0.2, seed=2, first=400))

    outcomes += fold(state, prompts, WAIT_EVENTS, 300.0)

    [rang], [told], [made] = (
        those(Rang, outcomes),
        those(Attributed, outcomes),
        those(Made, outcomes),
    )
    assert (rang.alarm.signal, told.found.cause) == ("feedback", "behaviour")
    assert (told.event_id, made.verdict) == (rang.event_id, "notify_only")


def test_ratings_that_turn_with_the_inputs_are_told_as_the_inputs() -> None:
    state, prompts = application(), Traffic(3)
    fold(state, prompts, 200)
    rate(state, thumbs(400, 0.9))
    outcomes = fold(state, prompts, 60, 200.0, far=True)

    outcomes += rate(state, thumbs(200, 0.2, seed=2, first=400))
    outcomes += fold(state, prompts, 300, 300.0, far=True)

    [told] = those(Attributed, outcomes)
    assert (told.found.cause, told.signals) == ("input", ("prompt_embedding", "feedback"))


def test_ratings_that_turn_after_the_inputs_begin_no_second_campaign() -> None:
    state, prompts = application(), Traffic(3)
    fold(state, prompts, 200)
    rate(state, thumbs(400, 0.9))
    fold(state, prompts, 300, 200.0, far=True)
    outcomes = rate(state, [correction(9_000 + n, served_at=290.0) for n in range(4)], 500.0)

    outcomes += rate(state, thumbs(200, 0.2, seed=2, first=400), 501.0)
    outcomes += fold(state, prompts, 300, 502.0, far=True)

    [rang] = those(Rang, outcomes)
    assert (rang.alarm.signal, rang.alarm.cause, rang.opinion.cause) == ("feedback", *2 * ["input"])
    assert len(those(Trigger, outcomes)) == 1
    assert those(Attributed, outcomes) == []


def test_the_alarm_is_the_same_however_ratings_and_answers_interleave() -> None:
    given = thumbs(400, 0.9) + thumbs(200, 0.2, seed=2, first=400)
    first, last = application(), application()

    early = rate(first, given)
    fold(first, Traffic(3), 200)
    fold(last, Traffic(3), 200)
    late = rate(last, given)

    [one], [other] = those(Rang, early), those(Rang, late)
    assert one == other


def test_killed_in_every_third_batch_it_rings_once_at_the_same_rating(tmp_path: Path) -> None:
    calm, stormy = Stack(tmp_path / "calm.db"), Stack(tmp_path / "stormy.db")
    values = [*traffic.thumbs(400, 0.9), *traffic.thumbs(120, 0.2, seed=2, first=400)]
    given = [rated(*each) for each in values]
    produce(calm, given)
    produce(stormy, [served(Traffic(3)) for _ in range(10)])
    produce(stormy, [each for one in given for each in (one, one)])
    turns = iter(range(10_000))

    def kill() -> None:
        if next(turns) % 3 == 2:
            raise Killed

    drain(calm.monitor(), 50)
    loop = stormy.monitor(before_store=kill)
    while True:
        try:
            drain(loop, 50)
            break
        except Killed:
            loop = stormy.monitor(before_store=kill)

    [(sent, alarm)] = calm.outbox(DRIFT_DETECTED)
    [(again, other)] = stormy.outbox(DRIFT_DETECTED)
    assert sent == again
    assert (alarm.signal, alarm.at_event) == ("feedback", other.at_event)
    assert alarm.statistic == other.statistic


def test_a_release_that_is_crowned_again_takes_its_ratings_anew() -> None:
    state = application()
    rate(state, thumbs(400, 0.9))
    state.crown("r2", 2)

    state.crown("r1", 3)

    assert state.releases["r1"].signals == []
    assert state.releases["r1"].ratings is None


def test_late_ratings_of_a_release_that_is_forgotten_bring_it_not_back() -> None:
    state = application()

    rate(state, [rating(1, 0.0, release="long ago")])

    assert "long ago" not in state.releases


def test_ratings_are_shown_and_read_back_from_the_store() -> None:
    state = application()
    rate(state, thumbs(150, 0.9))
    [early] = shown.signals(state, True, 0.0)
    rate(state, thumbs(450, 0.9, first=150) + thumbs(150, 0.1, seed=2, first=600))

    [later] = shown.signals(state, True, shown.bar([state]))

    kept = state.releases["r1"].ratings
    assert kept is not None
    again = thaw(Ratings, freeze(kept))
    assert freeze(thaw(Ratings, freeze(again))) == freeze(again)
    assert again.signal is not None
    assert again.signal.statistic == later.statistic
    assert (early.name, early.phase, early.events) == ("feedback", "collecting reference", 150)
    assert (early.reference_wanted, later.phase, later.events) == (WANTED, "alarmed", 750)
    assert (later.alarms, later.stands, len(later.history)) == (1, True, 55)
    assert later.average_run_length == DRIFT.average_run_length


def rate(state: Application, given: Iterable[Feedback], now: float = 250.0) -> list[Outcome]:
    return [told for one in given for told in state.rate(one, now)]
