"""Probe prompts to external providers, and what is remembered of their answers."""

import asyncio
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Final

import structlog

from libs.faults import Poison
from services.inference.domain.generation import Delta, Finish, Message, Sampling
from services.inference.domain.release import Provider, Release, Table
from services.inference.domain.sentinel import PROMPTS, Known
from services.inference.handlers.external import External
from services.inference.ports import EngineFailed, Memory, Routing

log = structlog.get_logger()

WISH: Final = Sampling(max_tokens=48, temperature=0.0, top_p=1.0, seed=1)


@dataclass(frozen=True, slots=True)
class Subject:
    """An external release in use."""

    table: Table
    release: Release
    provider: Provider

    @property
    def case(self) -> str:
        """Under which it is remembered: another prompt to the same model is no other case."""
        asked = self.provider
        which = (asked.name, asked.base_url, asked.model, sorted(asked.omit))
        return repr((self.table.application, *which, self.prompts))

    @property
    def prompts(self) -> tuple[str, ...]:
        return self.table.serving.watching.probes or PROMPTS


@dataclass(slots=True)
class Prober:
    routing: Routing
    external: External
    memory: Memory
    _known: dict[str, Known] = field(default_factory=dict)

    def subjects(self) -> list[Subject]:
        """The external releases in use, fallbacks with them."""
        return [
            Subject(table, release, provider)
            for table in self.routing.tables()
            for release in table.releases
            if (provider := release.engine.provider) is not None
        ]

    def known(self, subject: Subject) -> Known:
        found = self._known.get(subject.case) or self.memory.load(subject.case)
        return self._known.setdefault(subject.case, found or Known(subject.provider.model))

    async def remember(self, subject: Subject, known: Known) -> None:
        self._known[subject.case] = known
        await asyncio.to_thread(self.memory.save, subject.case, known)

    async def ask(self, provider: Provider, prompt: str) -> tuple[str, str] | None:
        """The answer, and the model that it says it is; None when there is no answer now."""
        if not self.external.available(provider):
            return None
        parts: list[str] = []
        said = [Message("user", prompt)]
        pieces = self.external.generate(provider, said, WISH, provider.timeout_s)
        try:
            async with aclosing(pieces):
                async for piece in pieces:
                    match piece:
                        case Delta():
                            parts.append(piece.text)
                        case Finish():
                            return "".join(parts), piece.response_model
        except (EngineFailed, Poison) as error:
            log.warning("probe.failed", provider=provider.name, error=str(error))
        return None
