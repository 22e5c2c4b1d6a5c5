"""The snapshot that all pages read: one look every few seconds, while somebody watches."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

import structlog

from libs.runtime.clock import Clock
from libs.runtime.service import Part
from services.console.domain.snapshot import Scatter, Snapshot
from services.console.handlers import Look

log = structlog.get_logger()

WATCHED_S: Final = 15.0
"""Nobody has read for this long: nobody watches, and nothing is asked."""
IDLE_S: Final = 0.2


class Live(Part):
    """Holds the newest snapshot, and refreshes it."""

    name = "live"

    def __init__(
        self, look: Look, clock: Clock, refresh_s: float, close: Callable[[], Awaitable[None]]
    ) -> None:
        self._look = look
        self._clock = clock
        self._refresh_s = refresh_s
        self._close = close
        self._snapshot = Snapshot()
        self._read_at = float("-inf")
        self.revision = 0

    def read(self) -> Snapshot:
        """The newest snapshot; asking keeps it fresh."""
        self._read_at = self._clock.monotonic()
        return self._snapshot

    def watched(self) -> bool:
        """Whether somebody has read lately."""
        return self._clock.monotonic() - self._read_at < WATCHED_S

    async def scatter(self, application: str) -> Scatter | None:
        """Asked for each page that shows it; None while the monitor is away."""
        return await self._look.scatter(application)

    async def refresh(self) -> None:
        self._snapshot = await self._look(self._snapshot)
        self.revision += 1

    async def __aexit__(self, *_: object) -> None:
        await self._close()

    async def serve(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            if watched := self.watched():
                await self._refresh_or_tell()
            try:
                await asyncio.wait_for(stop.wait(), self._refresh_s if watched else IDLE_S)
            except TimeoutError:
                continue

    async def _refresh_or_tell(self) -> None:
        try:
            await self.refresh()
        except Exception as error:  # a page with old numbers is better than none
            log.error("look.failed", exc_info=error)

    def unready(self) -> str | None:
        return None
