"""The part that looks for what is too old or too much, now and then."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import structlog

from libs.faults import Retryable

log = structlog.get_logger()


@dataclass(slots=True)
class Sweeper:
    """``sweep`` blocks; it runs on a thread."""

    sweep: Callable[[], int]
    every_s: float
    name: str = "sweeper"
    _trouble: str | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        pass

    async def serve(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            try:
                await asyncio.to_thread(self.sweep)
                self._trouble = None
            except Retryable as error:
                self._trouble = f"what is too old stays: {error}"
                log.warning("sweep.waiting", error=str(error))
            try:
                await asyncio.wait_for(stop.wait(), self.every_s)
            except TimeoutError:
                continue

    def unready(self) -> str | None:
        return self._trouble
