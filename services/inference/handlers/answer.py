"""One request: a place, a release, an answer."""

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Final

from libs.events.headers import new_event_id
from services.inference.domain.assignment import Assignment, assign
from services.inference.domain.cache import Key, Pieces, key_of
from services.inference.domain.generation import Ask, Delta, Finish, Served, sampling
from services.inference.domain.release import Role, Table
from services.inference.handlers import instruments
from services.inference.handlers.admit import Admit, priority_of
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
        """One answer alone; as `begin_all`."""
        (generation,) = await self.begin_all(table, (ask,), timeout_s)
        return generation

    async def begin_all(
        self, table: Table, asks: Sequence[Ask], timeout_s: float | None = None
    ) -> list[Generation]:
        """Choose the release, one for all choices of a request, and wait for their places.

        Args:
            asks: of one episode, where they are several.
            timeout_s: of the caller, for waiting and answering.
        Raises:
            Poison: ``invalid_value``, the application never has so many places.
            Overloaded: too many requests are under way or wait.
            EngineFailed: ``deadline``, there was no place in time; ``no_release_ready``, no
                release of the application is loaded here: its first promotion may be on its way.
        """
        ids = [new_event_id() for _ in asks]
        unit = asks[0].episode_id or ids[0]
        chosen = self._chosen(table, unit)
        keys = self._keys(table, asks, chosen, ids)
        if kept := self._kept(keys):
            return [
                Generation(id_, table, ask, chosen, cached=pieces)
                for id_, ask, pieces in zip(ids, asks, kept, strict=True)
            ]
        budget_s = self._budget_s(timeout_s)
        seats = await self.admit.seats(table, priority_of(asks[0]), budget_s, len(asks))
        if seats[0].queue_s:  # engines may have come and gone meanwhile
            chosen = self._chosen(table, unit)
            keys = self._keys(table, asks, chosen, ids)
        return [
            Generation(id_, table, ask, chosen, self.mirror, seat=seat, key=key)
            for id_, ask, seat, key in zip(ids, asks, seats, keys, strict=True)
        ]

    def stream(
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
        return self.runner.run(generation, budget_s)

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
        chosen = assign(table, unit, self.runner.ready, self.runner.lively)
        if chosen is not None:
            return chosen
        for release in table.fallbacks:
            if self.runner.ready(release.engine):
                instruments.FALLBACKS.labels(NO_RELEASE).inc()
                return Assignment(release, Role.FALLBACK, 0.0)
        instruments.REFUSALS.labels(NO_RELEASE).inc()
        raise EngineFailed(f"no release of {table.application} is loaded now", code=NO_RELEASE)

    def _kept(self, keys: Sequence[Key | None]) -> list[Pieces]:
        """The answers to all of a request's choices; none where one is missing."""
        cache, now_s = self.runner.cache, self.runner.clock.monotonic()
        if cache is None or keys[0] is None:
            return []
        found = [cache.get(key, now_s) if key else None for key in keys]
        kept = [pieces for pieces in found if pieces is not None]
        whole = len(kept) == len(keys)
        instruments.CACHE_HITS.labels("hit" if whole else "miss").inc()
        return kept if whole else []

    def _keys(
        self, table: Table, asks: Sequence[Ask], chosen: Assignment, ids: Sequence[str]
    ) -> list[Key | None]:
        if not table.serving.caching.enabled or chosen.role is Role.FALLBACK:
            return [None] * len(asks)
        release = chosen.release
        return [
            key_of(table.application, release, ask, sampling(ask, release.decoding, id_))
            for ask, id_ in zip(asks, ids, strict=True)
        ]
