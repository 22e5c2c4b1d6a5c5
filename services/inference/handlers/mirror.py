"""Shadow traffic: sampled answers are asked again of the shadow release, later."""

import asyncio
from contextlib import aclosing
from dataclasses import dataclass, field

import structlog

from libs.events.headers import new_event_id
from libs.faults import Poison, Retryable
from services.inference.domain.assignment import mirror
from services.inference.domain.generation import Served
from services.inference.handlers import instruments
from services.inference.handlers.generation import Generation
from services.inference.handlers.runner import Runner

log = structlog.get_logger()


@dataclass(slots=True)
class Mirror:
    """A bounded queue before one worker: never in the way of an answer; drops are counted."""

    runner: Runner
    most_waiting: int
    generate_s: float
    _waiting: asyncio.Queue[Generation] = field(init=False)

    def __post_init__(self) -> None:
        self._waiting = asyncio.Queue(self.most_waiting)

    def __call__(self, generation: Generation, served: Served) -> None:
        """Mirror an answered generation if the table's sample takes its unit."""
        unit = generation.ask.episode_id or generation.id
        shadow = mirror(generation.table, unit, self.runner.ready)
        if shadow is None:
            return
        mirrored = Generation(
            new_event_id(), generation.table, generation.ask, shadow, shadow_of=served.generation_id
        )
        try:
            self._waiting.put_nowait(mirrored)
        except asyncio.QueueFull:
            instruments.MIRRORS_DROPPED.labels("queue_full").inc()

    async def serve(self, stop: asyncio.Event) -> None:
        worker = asyncio.create_task(self._work())
        stopping = asyncio.create_task(stop.wait())
        await asyncio.wait({worker, stopping}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if worker.done():
            worker.result()
        worker.cancel()
        await asyncio.gather(worker, return_exceptions=True)
        instruments.MIRRORS_DROPPED.labels("stopped").inc(self._waiting.qsize())

    async def _work(self) -> None:
        while True:
            await self.settle(await self._waiting.get())

    async def settle(self, generation: Generation) -> None:
        """Let the shadow answer; its failure is in its event."""
        if not self.runner.ready(generation.assignment.release.engine):
            instruments.MIRRORS_DROPPED.labels("engine_gone").inc()
            return
        pieces = self.runner.run(generation, self.generate_s)
        try:
            async with aclosing(pieces):
                async for _ in pieces:
                    pass
        except (Retryable, Poison) as error:
            log.warning("mirror.failed", generation_id=generation.id, error=str(error))
