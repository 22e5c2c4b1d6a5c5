"""How long a connection may take to say what it wants: slow ones would use up all places."""

import asyncio
from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEAD_S: Final = 10.0
MAX_HEAD_BYTES: Final = 64 * 1024


class PatientProtocol(HttpToolsProtocol):
    """Closes a connection whose request head is not there in time, or is too large."""

    def __init__(self, *args: Any, head_s: float = HEAD_S, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._head_s = head_s
        self._head_bytes = 0
        self._late: asyncio.TimerHandle | None = None
        self._heading = True

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's own
        super().connection_made(transport)
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        self._wait_no_more()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if not self._heading:  # most heads come at once: those need no timer
            return
        if self._late is None:
            self._wait()
            return
        self._head_bytes += len(data)
        if self._head_bytes > MAX_HEAD_BYTES:
            self.transport.close()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._heading = True

    def on_headers_complete(self) -> None:
        self._heading = False
        self._wait_no_more()
        super().on_headers_complete()

    def _wait(self) -> None:
        self._head_bytes = 0
        self._late = self.loop.call_later(self._head_s, self._give_up)

    def _wait_no_more(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None

    def _give_up(self) -> None:
        """Unless an earlier request of this connection is still being answered."""
        self._late = None
        if self.cycle is None or self.cycle.response_complete:
            self.transport.close()
