"""Several processes of one service behind its ports.

The first process is the service's own: it does what is done once, and keeps the others alive. They
share its ports by SO_REUSEPORT, so that the kernel deals connections out, and die with it.
"""

import asyncio
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from multiprocessing.context import SpawnProcess
from typing import Final, Self

import structlog

from libs.runtime import metrics
from libs.runtime.config import DoorSettings
from libs.runtime.ops import is_alive
from libs.runtime.shared import insist_on

log = structlog.get_logger()

SPAWN: Final = multiprocessing.get_context("spawn")
RESTART_S: Final = (0.5, 1.0, 2.0, 5.0, 15.0, 30.0)
"""Before a worker is started again: longer for each that did not live for `LIVED_S`."""
LIVED_S: Final = 60.0
LOOK_S: Final = 5.0
SILENT_S: Final = 60.0
"""A worker whose ops port says nothing for so long is killed: it holds connections that nobody
answers. A start on a busy machine needs most of it."""
LEAVE_S: Final = 40.0
"""A stopped worker may drain for this long."""


class Workers:
    """Processes 1 to ``count - 1`` of a service, as a Part of process 0: its first one, so that
    ``doors`` are not open yet and the others drain while it does.

    Args:
        body: what a process does, given its number; importable by name. It ends at SIGTERM.
        ops: of process 0; number N has its ops port N further.

    Raises:
        OSError: at entry, when another program holds a port of ``doors``: sharing it with that
            one would go unnoticed.
    """

    name = "workers"

    def __init__(
        self,
        body: Callable[[int], None],
        count: int,
        ops: DoorSettings,
        doors: Sequence[DoorSettings],
        look_s: float = LOOK_S,
        silent_s: float = SILENT_S,
        restart_s: Sequence[float] = RESTART_S,
    ) -> None:
        self._body = body
        self._count = count
        self._ops = ops
        self._doors = doors
        self._look_s = look_s
        self._silent_s = silent_s
        self._restart_s = restart_s
        self._left: list[SpawnProcess] = []

    async def __aenter__(self) -> Self:
        for door in self._doors:
            insist_on(door)
        metrics.WORKERS.set(self._count)
        return self

    async def __aexit__(self, *_: object) -> None:
        """By now this process has drained too."""
        end_s = time.monotonic() + LEAVE_S
        for process in self._left:
            await asyncio.to_thread(process.join, max(0.0, end_s - time.monotonic()))
            if process.is_alive():
                log.warning("worker.drain_exceeded", worker=process.name)
                process.kill()

    async def serve(self, stop: asyncio.Event) -> None:
        async with asyncio.TaskGroup() as group:
            for number in range(1, self._count):
                group.create_task(self._keep(number, stop))

    def unready(self) -> str | None:
        """A worker that is away costs room, no answers: its connections go to the others."""
        return None

    async def _keep(self, number: int, stop: asyncio.Event) -> None:
        """Have process ``number`` run until ``stop``."""
        early = 0
        while not stop.is_set():
            process = SPAWN.Process(
                target=self._body, args=(number,), name=f"worker-{number}", daemon=True
            )
            process.start()
            began_s = time.monotonic()
            try:
                await self._watch(process, ops_of(self._ops, number), stop)
            finally:
                if process.is_alive():
                    process.terminate()
                    self._left.append(process)
            if stop.is_set():
                return
            metrics.WORKERS_ENDED.inc()
            early = 0 if time.monotonic() - began_s > LIVED_S else early + 1
            wait_s = self._restart_s[min(early, len(self._restart_s) - 1)]
            log.error("worker.ended", worker=number, exit=process.exitcode, again_s=wait_s)
            await _set(stop, wait_s)

    async def _watch(self, process: SpawnProcess, ops: DoorSettings, stop: asyncio.Event) -> None:
        """Until it has ended, or ``stop``."""
        changed = asyncio.Event()
        loop = asyncio.get_running_loop()
        loop.add_reader(process.sentinel, changed.set)
        stopping = asyncio.create_task(stop.wait())
        stopping.add_done_callback(lambda _: changed.set())
        heard_s = time.monotonic()
        try:
            while not await _set(changed, self._look_s):
                if await is_alive(ops):
                    heard_s = time.monotonic()
                elif time.monotonic() - heard_s > self._silent_s:
                    log.error("worker.silent", worker=process.name)
                    process.kill()
        finally:
            loop.remove_reader(process.sentinel)
            stopping.cancel()
        if not stop.is_set():
            process.join()


def ops_of(ops: DoorSettings, number: int) -> DoorSettings:
    """The ops port of process ``number``."""
    return ops.model_copy(update={"port": ops.port + number})


def end_with_parent() -> None:
    """Have this worker killed when process 0 is gone, whatever it does then: it would go on behind
    the ports of the next one."""
    threading.Thread(target=_follow, name="end-with-parent", daemon=True).start()


def _follow() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os.kill(os.getpid(), signal.SIGKILL)


async def _set(event: asyncio.Event, within_s: float) -> bool:
    with suppress(TimeoutError):
        await asyncio.wait_for(event.wait(), within_s)
    return event.is_set()
