"""The monitor's store on both engines, with the migrations that make it."""

from collections.abc import Iterator

import pytest
from sqlalchemy.engine import Engine

from libs.events.topics import DRIFT_DETECTED
from libs.faults import Fatal
from libs.kafka.record import Sink
from libs.sql.engine import connect
from libs.sql.migrate import upgrade
from protos.monitor.v1.monitor_events_pb2 import DriftDetected
from services.monitor.adapters.shelf import Shelf
from services.monitor.adapters.sql import SqlStates
from services.monitor.domain.application import Application
from services.monitor.domain.release import Release
from services.monitor.domain.watch import watch
from tests.unit.services.monitor.traffic import Traffic


@pytest.fixture
def engine(sql_url: str) -> Iterator[Engine]:
    engine = connect(sql_url)
    upgrade(engine, "services.monitor")
    yield engine
    engine.dispose()


def nothing(_: Sink) -> None:
    """No events."""


def watched() -> Application:
    traffic, state = Traffic(1), Application("support")
    state.releases["r1"] = Release(watch=watch("support", "r1", 90, 10_000))
    for _ in range(137):
        state.releases["r1"].watch.observe(traffic.sample())  # type: ignore[union-attr]
    state.touched.add("r1")
    return state


def test_a_state_comes_back_as_it_was(engine: Engine) -> None:
    state, states = watched(), SqlStates(engine)

    states.store([state], nothing)
    loaded = SqlStates(engine).load("support")

    assert loaded is not None
    before, after = state.releases["r1"].watch, loaded.releases["r1"].watch
    assert before is not None
    assert after is not None
    assert after.fit is not None
    assert after.held.generations == before.held.generations
    assert [each.statistic for each in after.signals] == [each.statistic for each in before.signals]


def test_nothing_is_stored_when_the_events_cannot_be(engine: Engine) -> None:
    def fail(sink: Sink) -> None:
        sink.send(DRIFT_DETECTED, DriftDetected(application="support"))
        raise OSError("the outbox is away")

    states = SqlStates(engine)
    with pytest.raises(OSError, match="outbox"):
        states.store([watched()], fail)

    assert Shelf(engine)() == []
    states.store([watched()], nothing)


def test_a_stale_state_is_refused(engine: Engine) -> None:
    first, second = SqlStates(engine), SqlStates(engine)
    first.store([watched()], nothing)
    stale = second.load("support")
    first.store([watched()], nothing)
    assert stale is not None

    with pytest.raises(Fatal):
        second.store([stale], nothing)


def test_a_forgotten_release_leaves_the_store(engine: Engine) -> None:
    state, states = watched(), SqlStates(engine)
    states.store([state], nothing)
    del state.releases["r1"]

    states.store([state], nothing)

    loaded = SqlStates(engine).load("support")
    assert loaded is not None
    assert loaded.releases == {}


def test_who_looks_sees_a_state_as_soon_as_it_is_stored_and_thaws_it_once(engine: Engine) -> None:
    state, states, look = watched(), SqlStates(engine), Shelf(engine)
    states.store([state, Application("search")], nothing)

    [search, before] = look()
    [again] = look("support")
    state.champion = "r1"
    [meanwhile] = look("support")
    states.store([state], nothing)
    [same, after] = look()

    assert again is meanwhile is before is not state
    assert (before.champion, after.champion) == ("", "r1")
    assert same is search
    assert look("unknown") == []


def test_what_stands_on_the_shelf_is_bounded(engine: Engine) -> None:
    SqlStates(engine).store([watched(), Application("search")], nothing)
    narrow = Shelf(engine, most_bytes=250_000)

    [search, first] = narrow()
    [second] = narrow("support")

    assert second is first
    assert narrow("search")[0] is not search
    assert Shelf(engine, most_bytes=1)("support")[0].releases.keys() == {"r1"}
