"""Watches external providers, so that a silent change of their model is noticed."""

import asyncio
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

import structlog

from libs.events.topics import PROVIDER_PROBED
from libs.runtime.clock import Clock
from services.inference.domain import sentinel
from services.inference.domain.sentinel import Known
from services.inference.handlers.probing import Prober, Subject
from services.inference.ports import Journal
from services.inference.wire.probes import provider_probed

log = structlog.get_logger()

TICK_S: Final = 1.0
LEARN_EVERY_S: Final = 5.0
"""Between probes while the provider's usual answers are not known yet."""


@dataclass(slots=True)
class Sentinel:
    """One watch for each external model that an application uses."""

    prober: Prober
    journal: Journal
    clock: Clock
    drawn: Callable[[], float] = random.random
    _due_s: dict[str, float] = field(default_factory=dict)

    async def serve(self, stop: asyncio.Event) -> None:
        stopping = asyncio.create_task(stop.wait())
        while not stop.is_set():
            work = asyncio.create_task(self.step())
            await asyncio.wait({work, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if not work.done():
                work.cancel()
                await asyncio.gather(work, return_exceptions=True)
                return
            work.result()
            await asyncio.wait({stopping}, timeout=TICK_S)
        stopping.cancel()

    async def step(self) -> None:
        """Send the probes that are due, at most one to each model."""
        now_s = self.clock.monotonic()
        cases: dict[str, list[Subject]] = {}
        for subject in self.prober.subjects():
            cases.setdefault(subject.case, []).append(subject)
        due = [each for case, each in cases.items() if self._due_s.get(case, now_s) <= now_s]
        await asyncio.gather(*map(self._probe, due))

    async def _probe(self, subjects: Sequence[Subject]) -> None:
        """``subjects``: the releases of one application that the same model answers."""
        subject = subjects[0]
        known, policy = self.prober.known(subject), subject.table.serving.watching
        pace_s = min(policy.every_s, LEARN_EVERY_S) if known.learning else policy.every_s
        self._due_s[subject.case] = self.clock.monotonic() + pace_s
        prompt = sentinel.wanting(known, subject.prompts, self.drawn())
        said = await self.prober.ask(subject.provider, prompt)
        if said is None:
            return
        answer, model = said
        found = sentinel.probed(
            known,
            prompt,
            answer,
            model,
            drawn=self.drawn(),
            run_length=policy.average_run_length,
        )
        if not found.changed:
            await self.prober.remember(subject, found.known)
            return
        for each in subjects:
            self._tell(each, known, found)
        # What it is now is what it is watched against from here on.
        now = Known(subject.provider.model, found.known.response_model)
        await self.prober.remember(subject, now)

    def _tell(self, subject: Subject, before: Known, found: sentinel.Probed) -> None:
        log.warning("provider.changed", provider=subject.provider.name, reason=found.changed)
        event = provider_probed(
            subject.table.application,
            subject.release.digest,
            found.known,
            probes=before.probes + 1,
            p_value=found.p_value,
            changed=True,
            at=self.clock.now(),
        )
        self.journal.append(PROVIDER_PROBED, event)
