"""How much of a release is stored, how often, and that it comes back whole."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import sqlalchemy as sa
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from libs.kafka.record import Sink
from libs.sql.engine import connect
from services.monitor.adapters.sql import METADATA, RELEASES, SqlStates
from services.monitor.domain.application import Application
from services.monitor.domain.release import Release
from services.monitor.domain.watch import Watch, watch

from .traffic import Traffic

DIMENSIONS = 3072
MOST_BYTES = 10_000_000


def nothing(_: Sink) -> None:
    """No events."""


def observe(found: Watch, traffic: Traffic, events: int) -> list[float]:
    with threadpool_limits(limits=1):  # as in the process
        for _ in range(events):
            sample = traffic.sample()
            noisy = np.resize(sample.vector, DIMENSIONS) + 0.1 * traffic.random.random(DIMENSIONS)
            found.observe(replace(sample, vector=noisy.astype(np.float16)))
    return [signal.statistic for signal in found.signals]


def test_a_release_of_long_embeddings_is_small_and_its_constants_are_stored_once(
    tmp_path: Path,
) -> None:
    traffic, found = Traffic(1), watch("support", "r1", 1_500, 100_000)
    engine = connect(f"sqlite:///{tmp_path / 'monitor.db'}")
    METADATA.create_all(engine)
    state, states = Application("support"), SqlStates(engine)
    state.releases["r1"] = Release(watch=found)

    def stored() -> tuple[int, int]:
        state.touched.add("r1")
        states.store([state], nothing)
        with engine.connect() as connection:
            row = connection.execute(sa.select(RELEASES.c.state, RELEASES.c.fit)).one()
        return len(row.state), len(row.fit)

    observe(found, traffic, 1_400)
    assert sum(stored()) <= MOST_BYTES
    observe(found, traffic, 150)
    often, once = stored()
    assert found.signals[0].learned is not None
    assert often <= 1_000_000
    assert often + once <= MOST_BYTES

    loaded = SqlStates(engine).load("support")
    assert loaded is not None
    again = loaded.releases["r1"].watch
    assert again is not None
    later = replace(traffic, seed=2, made=traffic.made)
    traffic.random = np.random.default_rng(2)
    assert observe(again, later, 100) == observe(found, traffic, 100)


def test_a_release_that_was_stored_in_another_form_begins_anew(tmp_path: Path) -> None:
    traffic, found = Traffic(2), watch("support", "r1", 90, 10_000)
    for _ in range(120):
        found.observe(traffic.sample())
    engine = connect(f"sqlite:///{tmp_path / 'monitor.db'}")
    METADATA.create_all(engine)
    state, states = Application("support"), SqlStates(engine)
    state.releases["r1"] = Release(watch=found)
    state.touched.add("r1")
    states.store([state], nothing)
    with engine.begin() as connection:
        [stored] = connection.execute(sa.select(RELEASES.c.state)).scalars()
        connection.execute(RELEASES.update().values(state=stored.replace(b'"shares"', b'"widths"')))

    loaded = SqlStates(engine).load("support")

    assert found.watching
    assert loaded is not None
    assert loaded.releases["r1"].watch is None
