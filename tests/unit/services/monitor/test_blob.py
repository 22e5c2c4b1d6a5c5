"""States as bytes."""

import pickle
from dataclasses import dataclass

import numpy as np
import pytest

from services.monitor.adapters.blob import freeze, thaw
from services.monitor.domain.application import Application
from services.monitor.domain.canary import canary
from services.monitor.domain.outcome import Declared
from services.monitor.domain.recent import Recent
from services.monitor.domain.watch import Watch, watch

from .traffic import Traffic


@dataclass
class Older:
    kept: int
    dropped: str


@dataclass
class Newer:
    kept: int
    added: int = 5


def test_a_thawed_watch_goes_on_exactly_as_the_one_it_was() -> None:
    traffic, kept = Traffic(1), watch("support", "r", 120, 100_000)
    thawed = thaw(Watch, freeze(kept))

    for number in range(700):
        sample = traffic.sample(far=number > 600)
        assert kept.observe(sample) == thawed.observe(sample)
        if number % 7 == 0:
            thawed = thaw(Watch, freeze(thawed))

    assert kept.latched
    assert kept.signals[0].statistic == thawed.signals[0].statistic
    assert np.array_equal(kept.recent_cells, thawed.recent_cells)


def test_an_application_comes_back_whole() -> None:
    state = Application("support", declared=Declared(revision=3, margin=0.1))
    state.seen["topic/0"] = 17
    state.canaries["c"] = canary(0.1, 0.05)
    state.canaries["c"].comparison.score(0.7, True, 0.5)
    state.generations.add("g")

    again = thaw(Application, freeze(state))

    assert again.declared == state.declared
    assert again.seen == {"topic/0": 17}
    assert again.canaries["c"].comparison.log_e_promote == pytest.approx(
        state.canaries["c"].comparison.log_e_promote
    )
    assert not again.generations.add("g")


def test_fields_may_come_and_go() -> None:
    newer = thaw(Newer, freeze(Older(kept=1, dropped="x")))

    assert newer == Newer(kept=1, added=5)


def test_a_pickle_is_refused() -> None:
    with pytest.raises(ValueError, match="pickle"):
        thaw(Recent, pickle.dumps({"ring": [1]}))
