"""States as bytes."""

import io
import json
import pickle
from dataclasses import dataclass, replace

import numpy as np
import pytest
from numpy.typing import NDArray

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


@dataclass
class Rows:
    kept: int
    rows: NDArray[np.int64]


@dataclass
class Either:
    one: Older | Newer | None


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
    assert np.array_equal(kept.lately.cells, thawed.lately.cells)


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


@pytest.mark.parametrize("seed", range(4))
def test_cuts_anywhere_give_the_same_alarms_at_the_same_events(seed: int) -> None:
    """A process dies and thaws at random places."""
    random, traffic = np.random.default_rng(seed), Traffic(seed)
    samples = [
        replace(
            traffic.sample(far=number > 520, logprob_shift=-0.4 * (number > 480)),
            language=str(random.choice(["en", "de"])),
            latency_s=float(random.random()),
            stratum=str(random.choice(["day", "night"])),
        )
        for number in range(620)
    ]
    whole, cut = watch("support", "r", 450, 1_000), watch("support", "r", 450, 1_000)

    expected = [alarm for sample in samples for alarm in whole.observe(sample)]
    found = []
    for sample in samples:
        found += cut.observe(sample)
        if random.random() < 0.2:
            cut = thaw(Watch, freeze(cut))

    assert expected
    assert found == expected


def test_a_state_stored_as_npz_is_still_read() -> None:
    plain = json.dumps({"kept": 3, "rows": {"$array": "a0"}}).encode()
    buffer = io.BytesIO()
    np.savez(buffer, json=np.frombuffer(plain, np.uint8), a0=np.arange(3))

    assert thaw(Rows, buffer.getvalue()).rows.tolist() == [0, 1, 2]


def test_one_of_several_kinds_comes_back_as_itself() -> None:
    assert thaw(Either, freeze(Either(Newer(1)))).one == Newer(1)
    assert thaw(Either, freeze(Either(None))).one is None


def test_a_full_state_is_small() -> None:
    traffic, found = Traffic(5), watch("support", "r", 600, 100_000)
    for number in range(700):
        sample = traffic.sample()
        found.observe(
            replace(sample, vector=np.resize(sample.vector, 384), stratum=str(number % 3))
        )

    assert found.watching
    assert len(freeze(found)) < 3_000_000
