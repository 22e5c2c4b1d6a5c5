"""The operator's door: what the monitor sees, from the stored states."""

import asyncio
from dataclasses import dataclass
from typing import Any

import grpc

from protos.monitor.v1 import monitor_service_pb2 as pb
from protos.monitor.v1 import monitor_service_pb2_grpc as stubs
from services.monitor.domain.application import Application
from services.monitor.ports import Look
from services.monitor.wire import incoming, outgoing, shown

SERVICE = "perennial.monitor.v1.MonitorService"

Context = grpc.aio.ServicerContext[Any, Any]


@dataclass(frozen=True, slots=True)
class MonitorServicer:
    """An empty ``application`` means all of them."""

    look: Look

    def register(self, server: grpc.aio.Server) -> None:
        stubs.add_MonitorServiceServicer_to_server(self, server)  # type: ignore[arg-type]  # by shape

    async def ListSignals(  # noqa: N802  # the contract's name
        self, request: pb.ListSignalsRequest, context: Context
    ) -> pb.ListSignalsResponse:
        name = request.application and incoming.application_name(request.application)
        states, history = await self._read(""), not request.without_history
        least = shown.bar(states)
        mine = [state for state in states if name in ("", state.name)]
        found = [signal for state in mine for signal in shown.signals(state, history, least)]
        return pb.ListSignalsResponse(signals=found)

    async def ListWindows(  # noqa: N802  # the contract's name
        self, request: pb.ListWindowsRequest, context: Context
    ) -> pb.ListWindowsResponse:
        states = await self._read(request.application)
        found = [window for state in states for window in shown.windows(state)]
        return pb.ListWindowsResponse(windows=found)

    async def ListAlarms(  # noqa: N802  # the contract's name
        self, request: pb.ListAlarmsRequest, context: Context
    ) -> pb.ListAlarmsResponse:
        states = await self._read(request.application)
        found = [alarm for state in states for alarm in shown.alarms(state)]
        return pb.ListAlarmsResponse(alarms=found)

    async def ListObjectives(  # noqa: N802  # the contract's name
        self, request: pb.ListObjectivesRequest, context: Context
    ) -> pb.ListObjectivesResponse:
        states = await self._read(request.application)
        found = [standing for state in states for standing in shown.objectives(state)]
        return pb.ListObjectivesResponse(objectives=found)

    async def ListDecisions(  # noqa: N802  # the contract's name
        self, request: pb.ListDecisionsRequest, context: Context
    ) -> pb.ListDecisionsResponse:
        states = await self._read(request.application)
        found = [
            outgoing.decision_made(state.name, made)
            for state in states
            for made in state.decision.made
        ]
        return pb.ListDecisionsResponse(decisions=found)

    async def GetScatter(  # noqa: N802  # the contract's name
        self, request: pb.GetScatterRequest, context: Context
    ) -> pb.GetScatterResponse:
        name = incoming.application_name(request.application)
        found = await self._read(name)
        if not found:
            return pb.GetScatterResponse()
        digest = request.release_digest or found[0].champion
        return shown.scatter(digest, found[0].releases.get(digest))

    async def _read(self, name: str) -> list[Application]:
        """Their states; "" for all.

        Raises:
            Poison: ``bad_application``.
            Retryable: the store is away.
        """
        return await asyncio.to_thread(self.look, name and incoming.application_name(name))
