"""Answers the monitor: is this release's provider still the model that it was?"""

import asyncio
import random
from collections.abc import Awaitable, Callable
from concurrent.futures import CancelledError, Future
from dataclasses import dataclass
from typing import Final

import structlog

from libs.events.delivery import Delivery
from libs.events.topics import PROVIDER_PROBED
from libs.faults import Fatal
from libs.runtime.clock import Clock
from protos.monitor.v1.monitor_events_pb2 import ProbeRequested
from services.inference.domain import sentinel
from services.inference.domain.sentinel import Known
from services.inference.handlers.probing import Prober, Subject
from services.inference.ports import Journal
from services.inference.wire.probes import provider_probed

log = structlog.get_logger()

REST_S: Final = 5.0
MOST_PROBES: Final = 100
AT_ONCE: Final = 4
LONGEST_S: Final = 120.0
"""Of one burst: well below the time after which Kafka takes a silent consumer for dead."""


@dataclass(slots=True)
class Burst:
    """Sends probes at once. Their answers are compared with those before, and not taken into
    the sentinel's own: it goes on at its own pace."""

    prober: Prober
    journal: Journal
    clock: Clock
    drawn: Callable[[], float] = random.random

    async def __call__(self, request: ProbeRequested) -> None:
        """One event for each request, also where nothing could be asked."""
        subject = self._find(request)
        known, answers, models = Known(""), list[tuple[str, str]](), set[str]()
        if subject is not None:
            known = self.prober.known(subject)
            answers, models = await self._answers(subject, min(request.probes or 1, MOST_PROBES))
        other = next((model for model in models if sentinel.otherwise(known, model)), "")
        p_value = sentinel.compared(known, answers)
        event = provider_probed(
            request.application,
            request.release_digest,
            known,
            probes=len(answers),
            p_value=p_value,
            changed=p_value < sentinel.SMALL_P or bool(other),
            at=self.clock.now(),
            drift_event_id=request.drift_event_id,
        )
        event.response_model = other or known.response_model or next(filter(None, models), "")
        self.journal.append(PROVIDER_PROBED, event)

    def _find(self, request: ProbeRequested) -> Subject | None:
        wanted = (request.application, request.release_digest)
        for subject in self.prober.subjects():
            if (subject.table.application, subject.release.digest) == wanted:
                return subject
        return None

    async def _answers(
        self, subject: Subject, probes: int
    ) -> tuple[list[tuple[str, str]], set[str]]:
        """(prompt, answer) pairs, and the models that answered; fewer when time is over."""
        answers: list[tuple[str, str]] = []
        models: set[str] = set()
        places = asyncio.Semaphore(AT_ONCE)

        async def ask() -> None:
            async with places:
                prompt = subject.prompts[int(self.drawn() * len(subject.prompts))]
                if (said := await self.prober.ask(subject.provider, prompt)) is not None:
                    answers.append((prompt, said[0]))
                    models.add(said[1])

        tasks = [asyncio.create_task(ask()) for _ in range(probes)]
        _, late = await asyncio.wait(tasks, timeout=LONGEST_S)
        for task in late:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        return answers, models


@dataclass(slots=True)
class OnProbeRequested:
    """Runs on the consumer's thread; the burst itself on the event loop."""

    burst: Burst
    loop: asyncio.AbstractEventLoop
    _running: "Future[None] | None" = None

    def __call__(self, delivery: Delivery[ProbeRequested]) -> None:
        self._running = asyncio.run_coroutine_threadsafe(self.burst(delivery.event), self.loop)
        try:
            self._running.result()
        except CancelledError as error:
            raise Fatal("stopped within a burst: it is asked for again") from error

    def stop(self) -> None:
        """Give up what is under way."""
        if self._running is not None:
            self._running.cancel()


@dataclass(slots=True)
class Requests:
    """Consumes the monitor's requests. Answers outrank them: no failure here ends the gateway,
    it is tried anew."""

    consume: Callable[[asyncio.Event], Awaitable[None]]
    handler: OnProbeRequested

    async def serve(self, stop: asyncio.Event) -> None:
        stopping = asyncio.create_task(stop.wait())
        stopping.add_done_callback(lambda _: self.handler.stop())
        while not stop.is_set():
            try:
                await self.consume(stop)
            except Fatal as error:
                if not stop.is_set():
                    log.error("probes.consumer_failed", error=str(error))
                    await asyncio.wait({stopping}, timeout=REST_S)
        stopping.cancel()
