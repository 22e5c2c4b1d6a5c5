"""The operator's door and the store's tables."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from libs.sql.engine import connect
from protos.monitor.v1.monitor_service_pb2 import ListSignalsRequest, ListWindowsRequest
from services.monitor.adapters.shelf import Shelf
from services.monitor.adapters.sql import METADATA, SqlStates
from services.monitor.domain.application import Application
from services.monitor.domain.release import Release
from services.monitor.domain.strata import season
from services.monitor.domain.watch import Watch, watch
from services.monitor.rpc import MonitorServicer
from services.monitor.wire.shown import SILENCED

from .test_windows import PLAIN
from .traffic import Traffic


def door(path: Path, watched: Watch) -> MonitorServicer:
    """A door over a store with one application."""
    engine = connect(f"sqlite:///{path}/monitor.db")
    METADATA.create_all(engine)
    state = Application("support", releases={"r1": Release(watch=watched)})
    state.releases["r1"].windows.add(PLAIN)
    state.touched.add("r1")
    state.settle()
    SqlStates(engine).store([state], lambda _: None)
    return MonitorServicer(Shelf(engine))


def signals(servicer: MonitorServicer, name: str = "") -> list[tuple[str, str, int, int]]:
    request = ListSignalsRequest(application=name)
    answer = asyncio.run(servicer.ListSignals(request, None))  # type: ignore[arg-type]  # unused
    return [(each.name, each.phase, each.events, len(each.history)) for each in answer.signals]


def test_signals_tell_their_phase_and_history(tmp_path: Path) -> None:
    traffic, watched = Traffic(1), watch("support", "r1", 90, 10_000)
    for _ in range(20):
        watched.observe(traffic.sample())
    early = signals(door(tmp_path, watched))
    for _ in range(170):
        watched.observe(traffic.sample())

    (tmp_path / "later").mkdir()
    later = signals(door(tmp_path / "later", watched), "support")

    assert early == [("prompt_embedding", "collecting reference", 20, 0)]
    assert later[0] == ("prompt_embedding", "watching", 190, 10)
    assert later[1][0] == "mean_logprob"


@pytest.mark.parametrize(("seasonal", "notes"), [(False, []), (True, ["2026-11-29 22:16 UTC"])])
def test_a_reference_of_all_kinds_of_hours_says_until_when_it_is_silent(
    tmp_path: Path, seasonal: bool, notes: list[str]
) -> None:
    traffic, watched = Traffic(1), watch("support", "r1", 90, 10_000, seasonal=seasonal)
    begun = datetime(2026, 11, 22, 22, 16, tzinfo=UTC).timestamp()
    for number in range(3):
        at = begun + 3600 * number
        watched.observe(replace(traffic.sample(), at=at, stratum=season(at) if seasonal else ""))

    request = ListSignalsRequest()
    answer = asyncio.run(door(tmp_path, watched).ListSignals(request, None))  # type: ignore[arg-type]  # unused

    [found] = answer.signals
    assert found.phase == "collecting reference"
    assert [note.partition(", ")[0] for note in found.notes] == [f"silent until {n}" for n in notes]


def test_of_a_release_that_rang_the_other_signals_of_the_input_are_silenced(
    tmp_path: Path,
) -> None:
    traffic, watched = Traffic(1), watch("support", "r1", 90, 10_000)
    for _ in range(190):
        watched.observe(traffic.sample())
    while not watched.observe(traffic.sample(far=True)):
        pass

    request = ListSignalsRequest(application="support")
    answer = asyncio.run(door(tmp_path, watched).ListSignals(request, None))  # type: ignore[arg-type]  # unused

    found = {each.name: (each.phase, list(each.notes)) for each in answer.signals}
    assert found["prompt_embedding"] == ("alarmed", [])
    assert found["length"] == ("silenced", [SILENCED])
    assert found["mean_logprob"] == found["duplicates"] == ("watching", [])
    assert {each.name for each in answer.signals if each.stands} == {"prompt_embedding", "length"}


def test_windows_are_listed_by_release(tmp_path: Path) -> None:
    servicer = door(tmp_path, watch("support", "r1", 90, 10_000))

    request = ListWindowsRequest(application="support")
    answer = asyncio.run(servicer.ListWindows(request, None))  # type: ignore[arg-type]  # unused

    [window] = answer.windows
    assert (window.release_digest, window.answered, window.completion_tokens) == ("r1", 1, 7)
    assert (window.latency_p50_s, window.time_to_first_token_p95_s) == (1.0, 0.1)
