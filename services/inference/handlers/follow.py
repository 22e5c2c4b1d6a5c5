"""Keeps the loaded engines as the routing tables want them, and reports each change."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import structlog

from libs.events.topics import ENGINE_LOADED
from libs.faults import Poison, Retryable
from libs.runtime.clock import Clock
from services.inference.domain.loaded import LoadedEngines, reusing
from services.inference.domain.pace import Pace
from services.inference.domain.release import Engine, Provider, model_name
from services.inference.handlers.pulse import Pulse, Sign
from services.inference.ports import EngineHost, Generator, Journal, Routing
from services.inference.wire.events import engine_loaded

log = structlog.get_logger()


@dataclass(slots=True)
class _Attendance:
    """One engine's care: its task, and what wakes it."""

    wake: asyncio.Event = field(default_factory=asyncio.Event)
    task: asyncio.Task[None] | None = None
    gone: bool = False
    """Found dead or hung just now: it is loaded without being asked again."""
    failure: str | None = None
    waits: str = ""
    seconds: float = 0.0
    ready_s: float = 0.0
    """When it was loaded, by the clock."""
    deaths: int = 0
    """In a row, without a steady life between."""


def _anyone(_: Provider) -> str | None:
    return None


def _nothing(_: str) -> None:
    pass


@dataclass(slots=True)
class FollowRouting:
    """One attendant per engine: load, probe, watch, reload when dead, retire when unrouted.

    ``drop`` ends what a dead engine was asked, so that it is answered elsewhere.
    """

    routing: Routing
    host: EngineHost
    generator: Generator
    loaded: LoadedEngines
    journal: Journal
    replica: str
    clock: Clock
    pace: Pace = field(default_factory=Pace)
    why_not: Callable[[Provider], str | None] = _anyone
    drop: Callable[[str], None] = _nothing
    _outside: dict[str, str | None] = field(default_factory=dict)
    _wanted: dict[str, Engine] = field(default_factory=dict)
    _reusing: frozenset[str] = frozenset()
    _attended: dict[str, _Attendance] = field(default_factory=dict)
    _reported: dict[tuple[str, str, str], str | None] = field(default_factory=dict)
    _failed: asyncio.Future[None] | None = None
    _pulse: Pulse = field(init=False)

    def __post_init__(self) -> None:
        self._pulse = Pulse(self.generator, self.loaded, self.clock)

    def changed(self) -> None:
        """Routing changed: attend to what is wanted now."""
        engines = [r.engine for table in self.routing.tables() for r in table.releases]
        self._reusing = reusing(self.routing.tables())
        self._wanted = {e.digest: e for e in engines if e.provider is None}
        self._outside = {e.digest: self.why_not(e.provider) for e in engines if e.provider}
        for digest in self._wanted:
            if digest not in self._attended:
                attendance = self._attended[digest] = _Attendance()
                attendance.task = asyncio.create_task(self._attend(digest, attendance))
                attendance.task.add_done_callback(self._ended)
        for attendance in self._attended.values():
            attendance.wake.set()
        self._report()

    def answering(self) -> list[Engine]:
        """The engines that are loaded and answer."""
        return [engine for engine in self._wanted.values() if self.loaded.ready(engine.digest)]

    def attended(self) -> list[str]:
        """Digests of the engines that are wanted, or on their way out."""
        return list(self._attended)

    def suspect(self, digest: str) -> None:
        """A request found the engine away: look at once."""
        if digest in self._attended:
            self._attended[digest].wake.set()

    async def serve(self, stop: asyncio.Event) -> None:
        """Follow until ``stop``. Engines stay loaded: the next process adopts them."""
        self._failed = asyncio.get_running_loop().create_future()
        self.routing.on_change(self.changed)
        self.changed()
        stopping = asyncio.create_task(stop.wait())
        ends: set[asyncio.Future[Any]] = {stopping, self._failed}
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        tasks = [a.task for a in self._attended.values() if a.task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._failed.done():
            self._failed.result()

    def unready(self) -> str | None:
        """Not ready until an engine is loaded, where one is wanted."""
        if not self._wanted or any(self.loaded.ready(digest) for digest in self._wanted):
            return None
        if any(reason is None for reason in self._outside.values()):
            return None
        reasons = [a.failure for a in self._attended.values() if a.failure]
        return reasons[0] if reasons else "loading engines"

    def _ended(self, task: asyncio.Task[None]) -> None:
        """A bug in an attendant ends the service instead of leaving an engine unattended."""
        if task.cancelled() or self._failed is None or self._failed.done():
            return
        if (error := task.exception()) is not None:
            self._failed.set_exception(error)

    async def _attend(self, digest: str, attendance: _Attendance) -> None:
        while True:
            attendance.wake.clear()
            engine = self._wanted.get(digest)
            if engine is None:
                if await self._retired(digest):
                    del self._attended[digest]
                    return
                continue
            if not self.loaded.ready(digest):
                wait_s = await self._load(engine, attendance)
            elif (seen := await self._look(digest)) is None:
                log.warning("engine.died", model=engine.model_name)
                self.loaded.mark(digest, ready=False)
                self.drop(digest)
                attendance.gone = True
                lived_s = self.clock.monotonic() - attendance.ready_s
                attendance.deaths = 1 + attendance.deaths * (lived_s < self.pace.steady_s)
                # Not to be cut short by those who find it away meanwhile.
                await asyncio.sleep(self.pace.before_revival_s(attendance.deaths))
                continue
            elif self._suits(digest):
                wait_s = seen
            else:  # it answers meanwhile, and is looked after
                wait_s = min(await self._load(engine, attendance), seen)
            await _woken(attendance.wake, wait_s)

    def _suits(self, digest: str) -> bool:
        return self.host.suits(digest, reuse=digest in self._reusing)

    async def _load(self, engine: Engine, attendance: _Attendance) -> float:
        """Adopt the engine if it answers already, else load it; returns when to look again."""
        started_s = self.clock.monotonic()
        gone, attendance.gone = attendance.gone, False
        try:
            if gone or not (self._suits(engine.digest) and await self._answers(engine.digest)):
                await self.host.load(engine, reuse=engine.digest in self._reusing)
                if not await self._answers(engine.digest):
                    raise Poison("loaded, but does not answer", code="probe_failed")
        except Retryable as error:
            if attendance.waits != str(error):  # a wait may be long
                attendance.waits = str(error)
                log.warning("engine.load_waits", model=engine.model_name, error=str(error))
            return self.pace.away_s
        except Poison as error:
            if attendance.failure != (failure := f"{error.code}: {error}"):
                log.error("engine.load_failed", model=engine.model_name, error=str(error))
            attendance.failure = failure
            self._report()
            return self.pace.refused_s
        attendance.failure, attendance.waits = None, ""
        attendance.ready_s = self.clock.monotonic()
        attendance.seconds = attendance.ready_s - started_s
        self.loaded.mark(engine.digest, ready=True)
        log.info("engine.ready", model=engine.model_name, seconds=round(attendance.seconds, 2))
        self._report()
        return self.pace.probe_every_s

    async def _look(self, digest: str) -> float | None:
        """At an engine that answered before; returns when to look again, None when it is gone.

        A silent one is asked last, until it is taken for hung: it may only be very slow.
        """
        sign = await self._pulse.feel(digest, self.pace.sign_s)
        if sign is Sign.SILENT:
            log.warning("engine.silent", model=model_name(digest))
            self.loaded.doubt(digest)
            sign = await self._pulse.feel(digest, self.pace.hung_s)
        if sign in (Sign.SILENT, Sign.DOWN):
            return None
        self.loaded.mark(digest, ready=True)
        # A busy one may have died after its last piece: a probe that was under way only waits.
        return self.pace.probe_every_s if sign is Sign.ANSWERED else self.pace.sign_s

    async def _answers(self, digest: str) -> bool:
        return await self._pulse.feel(digest, self.pace.probe_s) is Sign.ANSWERED

    async def _retired(self, digest: str) -> bool:
        """Unload after the requests under way; False when it is wanted again."""
        self.loaded.mark(digest, ready=False)
        waited_s = 0.0
        while digest not in self._wanted and waited_s < self._grace_s(digest):
            await asyncio.sleep(self.pace.busy_poll_s)
            waited_s += self.pace.busy_poll_s
        if digest in self._wanted:
            return False
        try:
            await self.host.unload(digest)
        except (Retryable, Poison) as error:
            log.warning("engine.unload_failed", digest=digest, error=str(error))
        else:
            log.info("engine.unloaded", digest=digest)
        return digest not in self._wanted

    def _grace_s(self, digest: str) -> float:
        return self.pace.grace_s if self.loaded.busy(digest) else self.pace.sure_grace_s

    def _state(self, digest: str) -> tuple[bool, str | None]:
        """Whether it can answer, and why not where that is known."""
        if digest in self._outside:
            failure = self._outside[digest]
            return failure is None, failure
        attendance = self._attended.get(digest)
        ready = self.loaded.ready(digest)
        return ready, None if ready or attendance is None else attendance.failure

    def _report(self) -> None:
        """Tell what is newly true of each routed release."""
        routed: set[tuple[str, str, str]] = set()
        for table in self.routing.tables():
            for release in table.releases:
                key = (table.application, release.digest, table.campaign_id)
                routed.add(key)
                attendance = self._attended.get(release.engine.digest)
                ready, failure = self._state(release.engine.digest)
                if not ready and failure is None:
                    continue
                if key in self._reported and self._reported[key] == failure:
                    continue
                self._reported[key] = failure
                seconds = attendance.seconds if attendance else 0.0
                event = engine_loaded(
                    table, release, self.replica, failure=failure, seconds=seconds
                )
                self.journal.append(ENGINE_LOADED, event)
        self._reported = {key: told for key, told in self._reported.items() if key in routed}


async def _woken(event: asyncio.Event, timeout_s: float) -> None:
    with suppress(TimeoutError):
        await asyncio.wait_for(event.wait(), timeout_s)
