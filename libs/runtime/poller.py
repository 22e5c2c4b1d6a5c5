"""A part that looks for work, does what it found, and looks again until it is told to stop."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import structlog

from libs.faults import Retryable
from libs.runtime.service import Part

log = structlog.get_logger()

Look = Callable[[asyncio.Event], Awaitable[object]]
"""Whether it found work. Gets the stop event."""


def on_thread(look: Callable[[], object]) -> Look:
    """A ``look`` that blocks."""
    return lambda _stop: asyncio.to_thread(look)


@dataclass(slots=True)
class Poller(Part):
    """``Retryable`` from ``look`` makes the service unready until a look succeeds.

    Fields:
        look: called again at once when it found work.
        every_s: seconds between two looks that found nothing.
        waiting: what a failed look means to an operator, e.g. ``jobs wait``.
    """

    name: str
    look: Look
    every_s: float
    waiting: str
    _trouble: str | None = None

    async def serve(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            try:
                pause_s = 0.0 if await self.look(stop) else self.every_s
                self._trouble = None
            except Retryable as error:
                pause_s = error.after_s or max(self.every_s, 1.0)
                self._trouble = f"{self.waiting}: {error}"
                log.warning("poll.waiting", part=self.name, error=str(error))
            if pause_s:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(stop.wait(), pause_s)

    def unready(self) -> str | None:
        return self._trouble
