"""A service is a list of parts: entered in order, served together, left in reverse."""

import asyncio
import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol, Self

import structlog
import uvloop
from pydantic import ValidationError

from libs.runtime import logs, tracing
from libs.runtime.config import ServiceSettings, refusals
from libs.runtime.ops import OpsServer

log = structlog.get_logger()


class Part(Protocol):
    """Something that a service is made of. Those that inherit need neither entering nor leaving,
    unless they say so."""

    name: str

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        return None

    async def serve(self, stop: asyncio.Event) -> None:
        """Work until ``stop``; return early only if there is nothing to do until then."""

    def unready(self) -> str | None:
        """Why this part cannot work now; None when it can."""


@dataclass(frozen=True, slots=True)
class Service:
    name: str
    settings: ServiceSettings
    parts: Sequence[Part]


async def serve(service: Service, stop: asyncio.Event) -> None:
    """Run ``service`` until ``stop`` is set or a part fails; raise what failed."""
    entered: list[Part] = []

    def why_not_ready() -> list[str]:
        if len(entered) < len(service.parts):
            return [f"{service.parts[len(entered)].name}: starting"]
        reasons = [(part.name, part.unready()) for part in entered]
        return [f"{name}: {reason}" for name, reason in reasons if reason is not None]

    async with AsyncExitStack() as stack:
        await stack.enter_async_context(OpsServer(service.settings.ops, why_not_ready))
        for part in service.parts:
            await stack.enter_async_context(part)
            entered.append(part)
        log.info("service.started", parts=[part.name for part in entered])
        try:
            await _serve_all(entered, stop, service.settings.drain_s)
        finally:
            log.info("service.stopping")


async def _serve_all(parts: Sequence[Part], stop: asyncio.Event, drain_s: float) -> None:
    tasks = {asyncio.create_task(part.serve(stop), name=part.name) for part in parts}
    stopping = asyncio.create_task(stop.wait(), name="stop")
    running = set(tasks)
    while running and not stop.is_set():
        done, _ = await asyncio.wait({*running, stopping}, return_when=asyncio.FIRST_COMPLETED)
        running -= done
        if any(task.exception() for task in done if task is not stopping):
            stop.set()
    stopping.cancel()
    if running:
        _, late = await asyncio.wait(running, timeout=drain_s)
        for task in late:
            log.warning("part.drain_exceeded", part=task.get_name(), drain_s=drain_s)
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)
    for task in tasks:
        if not task.cancelled() and (error := task.exception()):
            raise error


def run(build: Callable[[], Service]) -> None:
    """The body of every ``__main__``: build, run until SIGTERM or SIGINT.

    Exits with 1 when a part failed, with 2 when the settings are refused.
    """
    try:
        uvloop.run(_until_signalled(build))
    except ValidationError as error:
        sys.stderr.write("\n  ".join(["refused to start:", *refusals(error)]) + "\n")
        sys.exit(2)
    except Exception as error:
        log.critical("service.failed", error=str(error), exc_info=error)
        sys.exit(1)


async def _until_signalled(build: Callable[[], Service]) -> None:
    """``build`` runs inside the loop: asyncio clients belong to the loop they are made in."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    service = build()
    logs.configure(service.name, service.settings.log_level)
    tracing.configure(service.name)
    try:
        await serve(service, stop)
    finally:
        await asyncio.to_thread(tracing.finish)
