"""Server-sent events of a stranger: bounded lines, bounded whole, bounded time."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass
from typing import Final

from services.inference.ports import EngineFailed

MAX_LINE_BYTES: Final = 256 * 1024
MAX_BYTES: Final = 8 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Bounds:
    """``ends_s`` is of the event loop's clock."""

    ends_s: float
    line_bytes: int = MAX_LINE_BYTES
    whole_bytes: int = MAX_BYTES


async def chunks(source: AsyncIterator[bytes], bounds: Bounds) -> AsyncGenerator[bytes, None]:
    """What arrives, until its end.

    The time limit is around each wait and never around the reader of these chunks.

    Raises:
        EngineFailed: ``deadline``, or ``engine_error`` above the bound.
    """
    seen = 0
    while True:
        try:
            async with asyncio.timeout_at(bounds.ends_s):
                chunk = await anext(source, None)
        except TimeoutError:
            raise EngineFailed("the answer took too long", code="deadline") from None
        if chunk is None:
            return
        seen += len(chunk)
        if seen > bounds.whole_bytes:
            raise EngineFailed("the provider's answer is too large", code="engine_error")
        yield chunk


async def data(source: AsyncIterator[bytes], bounds: Bounds) -> AsyncGenerator[bytes, None]:
    """The value of each ``data:`` line.

    Raises:
        EngineFailed: as `chunks`, or ``engine_error`` for what is no event stream.
    """
    rest = b""
    async for chunk in chunks(source, bounds):
        *lines, rest = (rest + chunk).split(b"\n")
        if len(rest) > bounds.line_bytes:
            raise EngineFailed("the provider's line is too long", code="engine_error")
        for line in lines:
            value = _value(line.rstrip(b"\r"))
            if value:
                yield value
    value = _value(rest.strip())
    if value:
        yield value


def _value(line: bytes) -> bytes:
    name, colon, value = line.partition(b":")
    if name == b"data":
        return value.strip()
    if not line or (colon and name in {b"", b"event", b"id", b"retry"}):
        return b""
    raise EngineFailed("the provider sends no event stream", code="engine_error")
