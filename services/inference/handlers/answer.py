"""One request: a place, a release, an answer."""

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass
from typing import Final

from libs.events.headers import new_event_id
from services.inference.domain.assignment import Assignment, assign
from services.inference.domain.cache import Key, key_of
from services.inference.domain.generation import Ask, Delta, Finish, Served, sampling
from services.inference.domain.release import Role, Table
from services.inference.handlers import instruments
from services.inference.handlers.admit import Admit
from services.inference.handlers.generation import Generation
from services.inference.handlers.runner import Runner
from services.inference.ports import EngineFailed

NO_RELEASE: Final = "no_release_ready"


@dataclass(frozen=True, slots=True)
class Answer:
    """Assigns a request to a release and answers it."""

    runner: Runner
    admit: Admit
    mirror: Callable[[Generation, Served], None]
    generate_s: float

    async def begin(self, table: Table, ask: Ask, timeout_s: float | None = None) -> Generation:
        """Choose the release, and wait for a place.

        Args:
            timeout_s: of the caller, for waiting and answering.
        Raises:
            Overloaded: too many requests are under way or wait.
            EngineFailed: ``deadline``, there was no place in time; ``no_release_ready``, no
                release of the application is loaded here: its first promotion may be on its way.
        """
        generation_id = new_event_id()
        chosen = self._chosen(table, ask.episode_id or generation_id)
        key = self._key(table, ask, chosen, generation_id)
        cache = self.runner.cache
        if key is not None and cache is not None:
            kept = cache.get(key, self.runner.clock.monotonic())
            instruments.CACHE_HITS.labels("miss" if kept is None else "hit").inc()
            if kept is not None:
                return Generation(generation_id, table, ask, chosen, cached=kept)
        seat = await self.admit.seat(table, ask, self._budget_s(timeout_s))
        if seat.queue_s:  # engines may have come and gone meanwhile
            chosen = self._chosen(table, ask.episode_id or generation_id)
            key = self._key(table, ask, chosen, generation_id)
        return Generation(generation_id, table, ask, chosen, self.mirror, seat=seat, key=key)

    async def stream(
        self, generation: Generation, timeout_s: float | None = None
    ) -> AsyncGenerator[Delta | Finish, None]:
        """The answer's pieces, then its `Finish`. Close it to cancel.

        Args:
            timeout_s: of the caller, from now.
        Raises:
            EngineFailed: no whole answer came; what came was given out.
            Poison: ``refused_by_engine``.
        """
        left_s = self.generate_s - generation.queue_s
        budget_s = max(min(left_s, timeout_s or left_s), 0.001)
        try:
            pieces = self.runner.run(generation, budget_s)
            async with aclosing(pieces):
                async for piece in pieces:
                    yield piece
        finally:
            if generation.seat is not None:
                generation.seat.leave()

    async def whole(
        self, generation: Generation, timeout_s: float | None = None
    ) -> tuple[str, Finish]:
        """The whole answer; raises as ``stream`` does."""
        parts: list[str] = []
        pieces = self.stream(generation, timeout_s)
        async with aclosing(pieces):
            async for piece in pieces:
                if isinstance(piece, Finish):
                    return "".join(parts), piece
                parts.append(piece.text)
        raise EngineFailed("the engine stopped without an end", code="engine_error")

    def _budget_s(self, timeout_s: float | None) -> float:
        return min(self.generate_s, timeout_s or self.generate_s)

    def _chosen(self, table: Table, unit: str) -> Assignment:
        """A routed release, else the first fallback that can be asked."""
        chosen = assign(table, unit, self.runner.ready)
        if chosen is not None:
            return chosen
        for release in table.fallbacks:
            if self.runner.ready(release.engine):
                instruments.FALLBACKS.labels(NO_RELEASE).inc()
                return Assignment(release, Role.FALLBACK, 0.0)
        instruments.REFUSALS.labels(NO_RELEASE).inc()
        raise EngineFailed(f"no release of {table.application} is loaded yet", code=NO_RELEASE)

    def _key(self, table: Table, ask: Ask, chosen: Assignment, generation_id: str) -> Key | None:
        if not table.serving.caching.enabled or chosen.role is Role.FALLBACK:
            return None
        release = chosen.release
        wish = sampling(ask, release.decoding, generation_id)
        return key_of(table.application, release, ask, wish)
