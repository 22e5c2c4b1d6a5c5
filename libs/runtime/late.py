"""Parts that come in late."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack, suppress
from typing import Final

from libs.runtime.service import Part

POLL_S: Final = 0.1


class Late(Part):
    """Parts that are entered when nothing is in their way any more, and left with the service:
    until a worker can answer, the others do."""

    def __init__(self, parts: Sequence[Part], why_not: Callable[[], str | None]) -> None:
        self.name = "doors"
        self._parts = parts
        self._why_not = why_not
        self._stack = AsyncExitStack()
        self._entered = False

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def serve(self, stop: asyncio.Event) -> None:
        while self._why_not() is not None:
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), POLL_S)
            if stop.is_set():
                return
        for part in self._parts:
            await self._stack.enter_async_context(part)
        self._entered = True
        await asyncio.gather(*(part.serve(stop) for part in self._parts))

    def unready(self) -> str | None:
        reasons = [part.unready() for part in self._parts] if self._entered else ["closed"]
        return next((reason for reason in reasons if reason is not None), None)
