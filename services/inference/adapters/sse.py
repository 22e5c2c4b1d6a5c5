"""Server-sent events of a stranger: bounded lines, bounded whole, bounded time."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Final, Self

from services.inference.ports import EngineFailed

MAX_LINE_BYTES: Final = 256 * 1024
MAX_BYTES: Final = 8 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Bounds:
    """``ends_s`` is of the event loop's clock."""

    ends_s: float
    line_bytes: int = MAX_LINE_BYTES
    whole_bytes: int = MAX_BYTES


@dataclass(slots=True)
class Chunks:
    """What arrives, until its end. An iterator, not a generator: nobody has to close it.

    The time limit is around each wait and never around the reader of these chunks.
    """

    source: AsyncIterator[bytes]
    bounds: Bounds
    seen: int = 0

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        """Raises `EngineFailed`: ``deadline``, or ``engine_error`` above the bound."""
        try:
            async with asyncio.timeout_at(self.bounds.ends_s):
                chunk = await anext(self.source)
        except TimeoutError:
            raise EngineFailed("the answer took too long", code="deadline") from None
        self.seen += len(chunk)
        if self.seen > self.bounds.whole_bytes:
            raise EngineFailed("the provider's answer is too large", code="engine_error")
        return chunk


@dataclass(slots=True)
class Data:
    """The values of ``data:`` lines, as many at a time as a chunk ends; no generator either.

    Raises:
        EngineFailed: as `Chunks`, or ``engine_error`` for what is no event stream.
    """

    chunks: Chunks
    rest: bytes = b""

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> list[bytes]:
        try:
            chunk = await anext(self.chunks)
        except StopAsyncIteration:
            if not self.rest:
                raise
            chunk = b"\n"  # a last line that nobody ended
        *lines, self.rest = (self.rest + chunk).split(b"\n")
        if len(self.rest) > self.chunks.bounds.line_bytes:
            raise EngineFailed("the provider's line is too long", code="engine_error")
        return [value for line in lines if (value := _value(line.rstrip(b"\r")))]


def _value(line: bytes) -> bytes:
    name, colon, value = line.partition(b":")
    if name == b"data":
        return value.strip()
    if not line or (colon and name in {b"", b"event", b"id", b"retry"}):
        return b""
    raise EngineFailed("the provider sends no event stream", code="engine_error")
