"""As much HTTP/1.1 as a benchmark needs: a client and a server that cost little themselves."""

import asyncio
from collections.abc import Callable
from typing import Final

END: Final = b"\r\n\r\n"
LAST_CHUNK: Final = b"0\r\n\r\n"


class Parser:
    """Whole messages out of a byte stream: a body has a length, or comes in chunks."""

    def __init__(self) -> None:
        self._held = b""

    def feed(self, data: bytes) -> tuple[bytes, bytes] | None:
        """``(head, body)`` once a message is whole."""
        self._held += data
        head, found, rest = self._held.partition(END)
        if not found:
            return None
        lowered = head.lower()
        if b"transfer-encoding: chunked" in lowered:
            if not rest.endswith(LAST_CHUNK):
                return None
            self._held = b""
            return head, rest
        _, _, after = lowered.partition(b"content-length:")
        length = int(after.partition(b"\r\n")[0]) if after else 0
        if len(rest) < length:
            return None
        self._held = rest[length:]
        return head, rest[:length]


class Client(asyncio.Protocol):
    """One connection in a closed loop: the next request leaves when the answer has come."""

    def __init__(self, request: bytes, answered: Callable[[bytes, bytes], bool]) -> None:
        self._request = request
        self._answered = answered
        self._parser = Parser()
        self._transport: asyncio.Transport | None = None
        self.lost = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        message = self._parser.feed(data)
        if message is None or self._transport is None:
            return
        if self._answered(*message):
            self._transport.write(self._request)
        else:
            self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.lost.done():
            self.lost.set_result(exc)


def request(host: str, path: str, headers: dict[str, str], body: bytes) -> bytes:
    lines = [f"POST {path} HTTP/1.1", f"host: {host}", "content-type: application/json"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    lines.append(f"content-length: {len(body)}")
    return "\r\n".join(lines).encode() + END + body
