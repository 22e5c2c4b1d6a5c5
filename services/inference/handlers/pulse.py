"""Signs of life of an engine: its answer to a probe, or what it gives others meanwhile."""

import asyncio
from contextlib import aclosing
from dataclasses import dataclass
from enum import Enum
from typing import Final

from libs.faults import Poison
from libs.runtime.clock import Clock
from services.inference.domain.generation import Finish, Sampling
from services.inference.domain.loaded import LoadedEngines
from services.inference.ports import EngineFailed, Generator

PROBE: Final = Sampling(max_tokens=1, temperature=0.0, top_p=1.0, seed=1)
PROBE_PROMPT: Final = "Hello"
FULL_POLL_S: Final = 0.1
"""Between two probes of an engine that takes no more requests: it is as good as one place."""


class Sign(Enum):
    ANSWERED = "answered"
    BUSY = "busy"
    """Others got pieces, the probe no answer."""
    SILENT = "silent"
    DOWN = "down"
    """Triton says so."""


@dataclass(frozen=True, slots=True)
class Pulse:
    generator: Generator
    loaded: LoadedEngines
    clock: Clock

    async def feel(self, digest: str, within_s: float) -> Sign:
        """A probe is asked even of a busy engine: readiness flags lie, and what it gave before it
        died is no proof."""
        given = self.loaded.answered(digest)
        ends_s = self.clock.monotonic() + within_s
        failure = await self._probe(digest, within_s)
        while failure == "engine_busy" and (left_s := ends_s - self.clock.monotonic()) > 0:
            await asyncio.sleep(min(FULL_POLL_S, left_s))
            failure = await self._probe(digest, left_s)
        if failure is None:
            return Sign.ANSWERED
        if failure == "engine_down":
            return Sign.DOWN
        return Sign.BUSY if self.loaded.answered(digest) > given else Sign.SILENT

    async def _probe(self, digest: str, within_s: float) -> str | None:
        """The code of its failure; None when it answered."""
        pieces = self.generator.generate(digest, PROBE_PROMPT, PROBE, within_s)
        try:
            async with aclosing(pieces):
                async for piece in pieces:
                    if isinstance(piece, Finish):
                        return None
        except (EngineFailed, Poison) as failure:
            return failure.code
        return "engine_error"
