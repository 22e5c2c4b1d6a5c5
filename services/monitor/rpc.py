"""The operator's door: what the monitor sees, from the stored states."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import grpc

from protos.monitor.v1 import monitor_service_pb2 as pb
from protos.monitor.v1 import monitor_service_pb2_grpc as stubs
from services.monitor import wire
from services.monitor.domain.application import Application
from services.monitor.domain.signal import Signal
from services.monitor.domain.watch import PROMPT_EMBEDDING, Watch
from services.monitor.domain.windows import Minute
from services.monitor.ports import States

SERVICE = "perennial.monitor.v1.MonitorService"


@dataclass(frozen=True, slots=True)
class MonitorServicer:
    """An empty ``application`` means all of them."""

    states: States

    def register(self, server: grpc.aio.Server) -> None:
        stubs.add_MonitorServiceServicer_to_server(self, server)  # type: ignore[arg-type]  # by shape

    async def ListSignals(  # noqa: N802  # the contract's name
        self, request: pb.ListSignalsRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> pb.ListSignalsResponse:
        states = await asyncio.to_thread(self._states, request.application)
        signals = [found for state in states for found in _signals(state)]
        return pb.ListSignalsResponse(signals=signals)

    async def ListWindows(  # noqa: N802  # the contract's name
        self, request: pb.ListWindowsRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> pb.ListWindowsResponse:
        states = await asyncio.to_thread(self._states, request.application)
        windows = [
            _window(state.name, digest, minute)
            for state in states
            for digest, release in state.releases.items()
            for minute in release.windows.minutes
        ]
        return pb.ListWindowsResponse(windows=windows)

    def _states(self, name: str) -> list[Application]:
        names = [wire.application_name(name)] if name else self.states.names()
        return [state for each in names if (state := self.states.load(each)) is not None]


def _signals(state: Application) -> Iterator[pb.Signal]:
    for release in state.releases.values():
        if release.watch is None:
            continue
        if not release.watch.signals:
            yield _collecting(state.name, release.watch)
        for signal in release.watch.signals:
            yield _signal(state.name, release.watch, signal)


def _collecting(name: str, watch: Watch) -> pb.Signal:
    collected = len(watch.held.generations)
    return pb.Signal(
        application=name,
        release_digest=watch.release,
        name=PROMPT_EMBEDDING,
        phase="collecting reference",
        reference_events=collected,
        reference_wanted=watch.wanted,
        events=collected,
        average_run_length=watch.average_run_length,
        duplicates=watch.duplicates,
    )


def _signal(name: str, watch: Watch, signal: Signal) -> pb.Signal:
    points = zip(signal.history_events, signal.history_values, strict=True)
    return pb.Signal(
        application=name,
        release_digest=watch.release,
        name=signal.name,
        phase=_phase(watch, signal),
        reference_events=watch.collected,
        reference_wanted=watch.wanted,
        events=watch.collected + signal.events,
        statistic=signal.statistic,
        threshold=signal.threshold,
        average_run_length=watch.average_run_length,
        alarms=int(signal.alarmed),
        duplicates=watch.duplicates,
        history=[
            pb.SignalPoint(event=int(event), statistic=float(value)) for event, value in points
        ],
    )


def _phase(watch: Watch, signal: Signal) -> str:
    if not watch.watching:
        return "collecting reference"
    return "alarmed" if signal.alarmed or watch.latched else "watching"


def _window(name: str, digest: str, minute: Minute) -> pb.Window:
    return pb.Window(
        application=name,
        release_digest=digest,
        start=wire.timestamp(minute.start),
        answered=minute.answered,
        failed=minute.failed,
        refused=minute.refused,
        completion_tokens=minute.tokens,
        latency_p50_s=minute.latency_s[0],
        latency_p95_s=minute.latency_s[1],
        time_to_first_token_p50_s=minute.first_token_s[0],
        time_to_first_token_p95_s=minute.first_token_s[1],
    )
