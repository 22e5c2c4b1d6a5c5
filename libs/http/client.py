"""An HTTP/1.1 client for answers that come piece by piece, from servers that are not trusted.

Connections are kept. Nothing is unpacked, redirected or remembered, no proxy or key is read from
the environment. What a general client does beside costs more than many an answer.
"""

import asyncio
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final, Self, cast
from urllib.parse import quote, urlsplit

import httptools

CONNECT_S: Final = 5.0
KEEP_S: Final = 30.0
MOST_KEPT: Final = 256
"""Idle connections to one origin."""
HELD_BYTES: Final = 256 * 1024
"""Above it nothing more is read from the socket until somebody takes what is there."""


class Broken(Exception):
    """The server ended the connection before its answer, or sends what is no HTTP."""


class TooLarge(Exception):
    """The answer is above its bound."""


@dataclass(frozen=True, slots=True)
class Address:
    host: str
    port: int
    secure: bool
    target: str
    named: str
    """What the ``host`` header says."""

    @property
    def origin(self) -> tuple[str, int, bool]:
        return self.host, self.port, self.secure


@lru_cache(256)
def address(url: str) -> Address:
    """Of an http or https URL without a query.

    Raises:
        ValueError: it is none.
    """
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError(f"not an address: {url[:80]}")
    secure = parts.scheme == "https"
    named = parts.netloc.rpartition("@")[2].encode("idna").decode()
    target = quote(parts.path or "/", safe="/%:@!$&'()*+,;=~")
    return Address(parts.hostname, parts.port or (443 if secure else 80), secure, target, named)


@dataclass(frozen=True, slots=True)
class Bounds:
    """Of one answer: when it has to be there, in seconds of the event loop's clock; bytes of it
    in all, its head among them."""

    ends_s: float
    most_bytes: int


class Answer:
    """One answer: its head, then chunks as they come. `close` it."""

    def __init__(self, connection: "Connection", bounds: Bounds) -> None:
        self.status = 0
        self.headers: dict[str, str] = {}
        self.ended = False
        self._connection = connection
        self._parser: Any = httptools.HttpResponseParser(self)
        self._left = bounds.most_bytes
        self._headed = self._kept = self._left_alone = False
        self._chunks: list[bytes] = []
        self._held = 0
        self._error: Exception | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._loop = asyncio.get_running_loop()
        self._alarm = self._loop.call_at(bounds.ends_s, self._late)

    async def head(self) -> None:
        """Until ``status`` and ``headers`` are known. Raises as `chunk`."""
        while not self._headed:
            await self._more()

    async def chunk(self) -> bytes:
        """What has come since the last one; empty at the end.

        Raises:
            TimeoutError: the answer took too long.
            Broken, TooLarge, OSError: it will not come to its end.
        """
        while not self._chunks:
            if self.ended:
                return b""
            await self._more()
        found = self._chunks[0] if len(self._chunks) == 1 else b"".join(self._chunks)
        self._chunks.clear()
        if self._held > HELD_BYTES:
            self._connection.resume()
        self._held = 0
        return found

    def close(self, linger_s: float = 0.0) -> None:
        """The connection is kept if the answer has come to its end.

        Args:
            linger_s: all that matters was read; the end may come so much later.
        """
        self._alarm.cancel()
        if self.ended or self._error or not linger_s:
            self._parser = None  # it and this answer hold each other
            self._connection.leave(keep=self.ended and self._kept and self._error is None)
            return
        self._left_alone, self._left = True, min(self._left, HELD_BYTES)
        self._alarm = self._loop.call_later(linger_s, self._connection.leave)

    async def _more(self) -> None:
        if self._error is not None:
            raise self._error
        self._waiter = self._loop.create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _late(self) -> None:
        self.fail(TimeoutError("the answer took too long"))

    def fail(self, error: Exception) -> None:
        """What has come can still be taken."""
        if self._error is None:
            self._error = error
        self._connection.abort()
        self._wake()

    def feed(self, data: bytes) -> None:
        self._left -= len(data)
        if self._left < 0:
            return self.fail(TooLarge("the answer is too large"))
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            return self.fail(Broken(str(error)))
        if self._left_alone and self.ended:
            return self.close()
        return self._wake()

    def lost(self, error: Exception | None) -> None:
        """An answer that does not say where it ends, ends with its connection."""
        framed = "content-length" in self.headers or "transfer-encoding" in self.headers
        if self._headed and not framed and error is None and self._error is None:
            self.ended = True
        self.fail(error or Broken("the connection ended before the answer"))

    # What the parser calls.

    def on_message_begin(self) -> None:
        if self._headed:
            raise Broken("more than the answer")

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._headed:
            self.headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        self.status = self._parser.get_status_code()
        if self.status < 200:  # the answer is still to come
            self.headers.clear()
        else:
            self._headed = True

    def on_body(self, body: bytes) -> None:
        if self._left_alone:
            return
        self._chunks.append(body)
        self._held += len(body)
        if self._held > HELD_BYTES:
            self._connection.pause()

    def on_message_complete(self) -> None:
        if self._headed:
            self.ended, self._kept = True, self._parser.should_keep_alive()


class Connection(asyncio.Protocol):
    """One request at a time."""

    def __init__(self, kept: "list[Connection]") -> None:
        self._kept = kept
        self._transport: asyncio.Transport | None = None
        self._answer: Answer | None = None
        self.idle_since_s = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def ask(self, request: bytes, bounds: Bounds) -> Answer:
        self._answer = Answer(self, bounds)
        if self._transport is None or self._transport.is_closing():
            self._answer.fail(Broken("the connection is gone"))
        else:
            self._transport.write(request)
        return self._answer

    def data_received(self, data: bytes) -> None:
        if self._answer is None:  # nobody has asked
            self.abort()
        else:
            self._answer.feed(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        if self in self._kept:
            self._kept.remove(self)
        if self._answer is not None:
            self._answer.lost(exc)

    def leave(self, *, keep: bool = False) -> None:
        """The answer is done with."""
        self._answer = None
        if not keep or self._transport is None or len(self._kept) >= MOST_KEPT:
            return self.abort()
        self.idle_since_s = asyncio.get_running_loop().time()
        return self._kept.append(self)

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def pause(self) -> None:
        if self._transport is not None:
            self._transport.pause_reading()

    def resume(self) -> None:
        if self._transport is not None:
            self._transport.resume_reading()


@dataclass(slots=True)
class Client:
    """Has as many connections as requests under way: who asks bounds them."""

    secure: ssl.SSLContext = field(default_factory=ssl.create_default_context)
    _kept: dict[tuple[str, int, bool], list[Connection]] = field(default_factory=dict)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Idle connections end; answers under way are their readers'."""
        for kept in self._kept.values():
            for connection in kept:
                connection.abort()

    async def post(
        self, url: str, headers: Mapping[str, str], body: bytes, bounds: Bounds
    ) -> Answer:
        """Ask; returns when the answer's head is there.

        Raises:
            ValueError: the address or a header cannot be sent.
            TimeoutError, Broken, TooLarge, OSError: as `Answer.chunk`.
        """
        where = address(url)
        request = _head(where, headers, len(body)) + body
        connection = self._idle(where) or await self._connected(where, bounds.ends_s)
        answer = connection.ask(request, bounds)
        try:
            await answer.head()
        except BaseException:
            answer.close()
            raise
        return answer

    def _idle(self, where: Address) -> Connection | None:
        """The one used last; those that have been idle for long end."""
        kept = self._kept.get(where.origin)
        if not kept:
            return None
        oldest_s = asyncio.get_running_loop().time() - KEEP_S
        while kept and kept[0].idle_since_s < oldest_s:
            kept.pop(0).abort()
        return kept.pop() if kept else None

    async def _connected(self, where: Address, ends_s: float) -> Connection:
        loop = asyncio.get_running_loop()
        kept = self._kept.setdefault(where.origin, [])
        secure = self.secure if where.secure else None
        try:
            async with asyncio.timeout_at(min(ends_s, loop.time() + CONNECT_S)):
                _, made = await loop.create_connection(
                    lambda: Connection(kept), where.host, where.port, ssl=secure
                )
        except TimeoutError:
            if loop.time() >= ends_s:
                raise
            raise OSError(f"{where.named} takes no connection") from None
        return made


def _head(where: Address, headers: Mapping[str, str], length: int) -> bytes:
    lines = [f"POST {where.target} HTTP/1.1", f"host: {where.named}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    lines.append(f"content-length: {length}")
    if any(not line.isprintable() for line in lines):
        raise ValueError("a header has a character that no header may have")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")
