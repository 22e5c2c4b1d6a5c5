"""Several answers to one request, each a generation of its own."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Final, Self

from libs.events.headers import new_event_id
from services.inference.domain.generation import Answered, Ask, Delta, Finish, Token
from services.inference.domain.release import Table
from services.inference.handlers.answer import Answer
from services.inference.handlers.generation import Generation
from services.inference.ports import EngineFailed

WAITING: Final = 64
"""Pieces of all choices that wait to be told."""
Piece = tuple[int, Delta | Finish]


@dataclass(frozen=True, slots=True)
class Choices:
    answer: Answer
    generations: tuple[Generation, ...]

    @classmethod
    async def begin(
        cls, answer: Answer, table: Table, ask: Ask, n: int, timeout_s: float | None = None
    ) -> Self:
        """Choose the release, one for all, and wait for places: several choices are an episode.
        Raises as `Answer.begin_all`."""
        asks = [ask]
        if n > 1:
            episode_id = ask.episode_id or new_event_id()
            asks = [replace(ask, episode_id=episode_id, choice=index) for index in range(n)]
        return cls(answer, tuple(await answer.begin_all(table, asks, timeout_s)))

    @property
    def first(self) -> Generation:
        return self.generations[0]

    async def stream(self, timeout_s: float | None = None) -> AsyncGenerator[Piece, None]:
        """Pieces of all choices as they come, each with its choice's number. Close it to
        cancel all. Raises as `Answer.stream`, for the first choice that fails."""
        if len(self.generations) > 1:
            async with aclosing(self._merged(timeout_s)) as merged:
                async for piece in merged:
                    yield piece
            return
        async with aclosing(self.answer.stream(self.first, timeout_s)) as pieces:
            async for alone in pieces:
                yield 0, alone

    async def whole(self, timeout_s: float | None = None) -> list[Answered]:
        """All answers, whole; raises as ``stream``."""
        if len(self.generations) == 1:
            return [await self._alone(timeout_s)]
        texts: list[list[str]] = [[] for _ in self.generations]
        tokens: list[list[Token]] = [[] for _ in self.generations]
        ends: dict[int, Finish] = {}
        async with aclosing(self.stream(timeout_s)) as pieces:
            async for index, piece in pieces:
                if isinstance(piece, Finish):
                    ends[index] = piece
                else:
                    texts[index].append(piece.text)
                    tokens[index] += piece.tokens
        return [
            Answered(generation.id, "".join(texts[index]), tuple(tokens[index]), ends[index])
            for index, generation in enumerate(self.generations)
        ]

    async def _alone(self, timeout_s: float | None) -> Answered:
        parts: list[Delta] = []
        async with aclosing(self.answer.stream(self.first, timeout_s)) as pieces:
            async for piece in pieces:
                if isinstance(piece, Finish):
                    text = "".join(part.text for part in parts)
                    tokens = tuple(token for part in parts for token in part.tokens)
                    return Answered(self.first.id, text, tokens, piece)
                parts.append(piece)
        raise EngineFailed("the engine stopped without an end", code="engine_error")

    async def _merged(self, timeout_s: float | None) -> AsyncGenerator[Piece, None]:
        queue: asyncio.Queue[Piece | Exception] = asyncio.Queue(WAITING)
        tasks = [
            asyncio.create_task(self._feed(index, timeout_s, queue))
            for index in range(len(self.generations))
        ]
        left = len(tasks)
        try:
            while left:
                item = await queue.get()
                if isinstance(item, Exception):
                    raise item
                yield item
                left -= isinstance(item[1], Finish)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _feed(
        self, index: int, timeout_s: float | None, queue: "asyncio.Queue[Piece | Exception]"
    ) -> None:
        try:
            async with aclosing(self.answer.stream(self.generations[index], timeout_s)) as pieces:
                async for piece in pieces:
                    await queue.put((index, piece))
        except Exception as error:  # told by the one who reads the queue
            await queue.put(error)
