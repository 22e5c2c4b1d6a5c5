"""A function as a part of a service."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from libs.runtime.service import Part


async def _until_stopped(stop: asyncio.Event) -> None:
    await stop.wait()


def _ready() -> str | None:
    return None


async def _leave() -> None:
    pass


@dataclass(slots=True)
class Task(Part):
    """Work of its own, as a Part. ``leave`` runs after the parts behind it have been left."""

    name: str
    work: Callable[[asyncio.Event], Awaitable[None]] = _until_stopped
    why_not_ready: Callable[[], str | None] = _ready
    leave: Callable[[], Awaitable[None]] = _leave

    async def __aexit__(self, *_: object) -> None:
        await self.leave()

    async def serve(self, stop: asyncio.Event) -> None:
        await self.work(stop)

    def unready(self) -> str | None:
        return self.why_not_ready()
