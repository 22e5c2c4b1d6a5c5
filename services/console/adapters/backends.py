"""Backends: ops ports, Kafka's admin client, the registry's and the monitor's gRPC."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeVar

import grpc
import httpx

from libs.rpc.client import channel
from protos.monitor.v1 import monitor_service_pb2 as monitor_pb
from protos.monitor.v1 import monitor_service_pb2_grpc as monitor_grpc
from protos.registry.v1 import registry_service_pb2 as registry_pb
from protos.registry.v1 import registry_service_pb2_grpc as registry_grpc
from services.console import wire
from services.console.domain.snapshot import (
    Alarm,
    Campaign,
    Decision,
    Health,
    Objective,
    Release,
    Scatter,
    Signal,
    State,
    Window,
)
from services.console.ports import Away

T = TypeVar("T")

OPS: Final = ".ops"
PAGE: Final = 500
CAMPAIGNS: Final = 8
"""Per application: the newest."""


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Name -> host:port, from a file that the local runner or an operator writes."""

    file: Path

    def all(self) -> Mapping[str, str]:
        """Raises `Away` when the file is not there or not such a mapping."""
        try:
            found = json.loads(self.file.read_text())
        except (OSError, ValueError) as error:
            raise Away(f"endpoints file {self.file.name}: {type(error).__name__}") from error
        if not isinstance(found, dict):
            raise Away(f"endpoints file {self.file.name}: not a mapping of names to addresses")
        return {str(name): str(address) for name, address in found.items()}

    def one(self, name: str) -> str:
        address = self.all().get(name, "")
        if not address:
            raise Away(f"no address of {name} is known")
        return address


@dataclass(frozen=True, slots=True)
class OpsPorts:
    """Readiness as each service tells it on its ops port."""

    endpoints: Endpoints
    timeout_s: float

    async def health(self) -> Sequence[Health]:
        ports = {
            name.removesuffix(OPS): address
            for name, address in self.endpoints.all().items()
            if name.endswith(OPS)
        }
        async with httpx.AsyncClient(timeout=self.timeout_s, trust_env=False) as client:
            asked = (_ask(client, name, address) for name, address in ports.items())
            return await asyncio.gather(*asked)


async def _ask(client: httpx.AsyncClient, name: str, address: str) -> Health:
    try:
        reply = await client.get(f"http://{address}/readyz")
        said = reply.json()
        waiting = "; ".join(str(one) for one in said.get("waiting_for", ()))
    except httpx.TimeoutException:
        return Health(name, State.AWAY, "does not answer in time")
    except httpx.HTTPError:
        return Health(name, State.AWAY, f"nothing listens on {address}")
    except (ValueError, AttributeError):
        return Health(name, State.AWAY, "its ops port says something else than expected")
    return Health(name, State.READY if reply.is_success else State.WAITING, waiting)


@dataclass(slots=True)
class Channels:
    """One channel to each service, made anew when its address changes."""

    endpoints: Endpoints
    token: str
    timeout_s: float
    _open: dict[str, tuple[str, grpc.aio.Channel]] = field(default_factory=dict)

    async def to(self, name: str) -> grpc.aio.Channel:
        address = self.endpoints.one(name)
        known = self._open.get(name)
        if known is not None and known[0] == address:
            return known[1]
        if known is not None:
            await known[1].close()
        made = channel(address, self.token)
        self._open[name] = (address, made)
        return made

    async def close(self) -> None:
        for _, made in self._open.values():
            await made.close()
        self._open.clear()


async def _said(name: str, call: Callable[[], Awaitable[T]]) -> T:
    """Raises `Away` with the status in words."""
    try:
        return await call()
    except grpc.aio.AioRpcError as error:
        reasons = {
            grpc.StatusCode.UNAVAILABLE: "cannot be reached",
            grpc.StatusCode.DEADLINE_EXCEEDED: "does not answer in time",
            grpc.StatusCode.UNAUTHENTICATED: "refuses the console's operator token",
        }
        reason = reasons.get(error.code(), f"answers {error.code().name}")
        raise Away(f"the {name} {reason}") from error


@dataclass(frozen=True, slots=True)
class RegistryRpc:
    channels: Channels

    async def applications(self) -> Sequence[str]:
        request = registry_pb.ListApplicationsRequest(page_size=PAGE)
        found = await self._all("ListApplications", request, "applications")
        return sorted(one.application.name for one in found)

    async def releases(self, application: str) -> Sequence[Release]:
        request = registry_pb.ListReleasesRequest(application=application, page_size=PAGE)
        found = await self._all("ListReleases", request, "releases")
        listed = registry_pb.ListEnginesRequest(application=application, page_size=PAGE)
        engines = await self._all("ListEngines", listed, "engines")
        gates = {one.built.engine.digest: one.built for one in reversed(engines)}
        return [wire.release(one, gates.get(one.release.engine.digest)) for one in found]

    async def campaigns(self, application: str) -> Sequence[Campaign]:
        request = registry_pb.ListCampaignsRequest(application=application, page_size=CAMPAIGNS)
        found = await self._call("ListCampaigns", request)
        return [wire.campaign(one) for one in found.campaigns]

    async def _all(self, method: str, request: Any, field: str) -> list[Any]:
        """``field`` of every page."""
        found: list[Any] = []
        while True:
            page = await self._call(method, request)
            found += getattr(page, field)
            if not page.next_page_token:
                return found
            request.page_token = page.next_page_token

    async def _call(self, method: str, request: Any) -> Any:
        stub = registry_grpc.RegistryServiceStub(await self.channels.to("registry.rpc"))
        timeout_s = self.channels.timeout_s
        return await _said("registry", lambda: getattr(stub, method)(request, timeout=timeout_s))


@dataclass(frozen=True, slots=True)
class MonitorRpc:
    channels: Channels

    async def signals(self) -> Sequence[Signal]:
        found = await self._call("ListSignals", monitor_pb.ListSignalsRequest())
        return [wire.signal(one) for one in found.signals]

    async def windows(self) -> Sequence[Window]:
        found = await self._call("ListWindows", monitor_pb.ListWindowsRequest())
        return [wire.window(one) for one in found.windows]

    async def alarms(self) -> Sequence[Alarm]:
        found = await self._call("ListAlarms", monitor_pb.ListAlarmsRequest())
        return [wire.alarm(one) for one in found.alarms]

    async def objectives(self) -> Sequence[Objective]:
        found = await self._call("ListObjectives", monitor_pb.ListObjectivesRequest())
        return [wire.objective(one) for one in found.objectives]

    async def decisions(self) -> Sequence[Decision]:
        found = await self._call("ListDecisions", monitor_pb.ListDecisionsRequest())
        return [wire.decision(one) for one in found.decisions]

    async def scatter(self, application: str) -> Scatter:
        request = monitor_pb.GetScatterRequest(application=application)
        return wire.scatter(await self._call("GetScatter", request))

    async def _call(self, method: str, request: Any) -> Any:
        stub = monitor_grpc.MonitorServiceStub(await self.channels.to("monitor.rpc"))
        timeout_s = self.channels.timeout_s
        return await _said("monitor", lambda: getattr(stub, method)(request, timeout=timeout_s))
