"""Engines that nobody looks after: left by a process before this one, or not let go of."""

import asyncio
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass

import structlog

from libs.faults import Poison, Retryable
from services.inference.ports import EngineHost

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Strays:
    """Unloads them; they would hold memory and disc for ever.

    ``attended``: digests of those that are looked after, None while it is not known what is routed.
    """

    host: EngineHost
    attended: Callable[[], Collection[str] | None]
    every_s: float = 60.0

    async def serve(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), self.every_s)
                return
            try:
                await self.unload()
            except (Retryable, Poison) as error:
                log.warning("engine.strays_stay", error=str(error))

    async def unload(self) -> None:
        for beginning in await self.host.present():
            attended = self.attended()
            if attended is not None and not any(each.startswith(beginning) for each in attended):
                await self.host.unload(beginning)
                log.info("engine.stray_unloaded", digest=beginning)
