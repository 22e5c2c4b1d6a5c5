"""One connection of a client: a request, then its answer as it comes, then the next."""

import asyncio
from typing import Final, Self, cast

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

MAX_BARE_BYTES: Final = 64 * 1024
"""Of a head, or of anything else that is no body."""
HIGH_BYTES: Final = 64 * 1024
"""Of a body that nobody has read yet: no more is taken then."""


class BrokeOff(ConnectionError):
    """The answer ended before its end, or is no HTTP."""


class Connection(asyncio.Protocol):
    """An iterator over the chunks of its answer's body, not a generator: nobody has to close it.

    ``headers`` have lower-case names. ``whole``: all of the body has arrived, read or not.
    """

    def __init__(self) -> None:
        self.status = 0
        self.headers: dict[str, str] = {}
        self.whole = True
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._parser = HttpResponseParser(self)
        self._chunks: list[bytes] = []
        self._held = self._bare = 0
        self._headed = self._paused = self._lasts = False
        self._error: Exception | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._end: asyncio.TimerHandle | None = None
        self._idle_s = 0.0

    async def ask(self, request: bytes, ends_s: float) -> None:
        """Send a request and wait for its answer's head. Raises as `Client.post`."""
        assert self._transport is not None
        self.status, self.headers, self.whole = 0, {}, False
        self._headed = self._lasts = False
        self._end = self._loop.call_at(ends_s, self._too_late)
        self._transport.write(request)
        while not self._headed:
            await self._more()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        """What has come of the body. Raises as `Client.post`."""
        while not self._chunks:
            if self.whole:
                raise StopAsyncIteration
            await self._more()
        body = self._chunks[0] if len(self._chunks) == 1 else b"".join(self._chunks)
        self._chunks.clear()
        self._held = 0
        if self._paused and self._transport is not None:
            self._paused = False
            self._transport.resume_reading()
        return body

    def rest(self) -> bool:
        """Whether another request may follow; from now on it is idle."""
        if self._end is not None:
            self._end.cancel()
            self._end = None
        self._idle_s = self._loop.time()
        self._chunks.clear()
        self._held = 0
        return self._lasts and self._error is None and not self._paused

    def idle(self, keep_s: float) -> bool:
        """Whether it can still be used, and has been used of late."""
        return self._error is None and self._loop.time() - self._idle_s < keep_s

    def close(self) -> None:
        self._fail(BrokeOff("closed"))
        if self._end is not None:
            self._end.cancel()
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        if self.whole:  # nobody has asked for it
            self.close()
            return
        self._bare += len(data)
        try:
            self._parser.feed_data(data)
        except (HttpParserError, HttpParserUpgrade):
            self._fail(BrokeOff("no HTTP"))
        if self._bare > MAX_BARE_BYTES:
            self._fail(BrokeOff("too many headers"))
        if self._held > HIGH_BYTES and not self._paused and self._transport is not None:
            self._paused = True
            self._transport.pause_reading()
        self._wake()

    def connection_lost(self, exc: Exception | None) -> None:
        framed = "content-length" in self.headers or "transfer-encoding" in self.headers
        if self._headed and not framed and exc is None and self._error is None:
            self.whole = True
        self._fail(BrokeOff("the connection was lost"))

    def on_message_begin(self) -> None:
        if self.whole:
            raise BrokeOff("another answer, which nobody has asked for")

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        self.status = self._parser.get_status_code()
        self._headed = self.status >= 200
        self._bare = 0

    def on_body(self, body: bytes) -> None:
        self._chunks.append(body)
        self._held += len(body)
        self._bare = 0

    def on_message_complete(self) -> None:
        if self._headed:
            self.whole, self._lasts = True, self._parser.should_keep_alive()
        else:  # 100, 103: the answer's own head follows
            self.headers = {}

    async def _more(self) -> None:
        if self._error is not None:
            raise self._error
        self._waiter = self._loop.create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _too_late(self) -> None:
        self._fail(TimeoutError("the answer took too long"))

    def _fail(self, error: Exception) -> None:
        self._error = self._error or error
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
