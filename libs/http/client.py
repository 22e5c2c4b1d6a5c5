"""HTTP/1.1 to others: a POST on a connection that was kept, and its answer as it comes.

As much of a client as a gateway needs; a general one takes three times the processor. It follows
nothing, unpacks nothing, keeps no cookies and reads no proxies or keys from files.
"""

import asyncio
import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from types import TracebackType
from typing import Final, Self
from urllib.parse import urlsplit

from libs.http.exchange import Connection

CONNECT_S: Final = 5.0
KEEP_S: Final = 30.0
PORTS: Final = {"http": 80, "https": 443}
PLAIN: Final = re.compile(r"[!-~]+")


@dataclass(frozen=True, slots=True)
class Address:
    """Where a request goes. ``head``: its first lines."""

    secure: bool
    host: str
    port: int
    head: bytes

    @classmethod
    def of(cls, url: str) -> Self:
        """
        Raises:
            ValueError: no address of this kind.
        """
        parts = urlsplit(url)
        if parts.scheme not in PORTS or not parts.hostname or not PLAIN.fullmatch(url):
            raise ValueError(f"{url!r} is no address")
        host, port = parts.hostname, parts.port or PORTS[parts.scheme]
        path = parts.path + (f"?{parts.query}" if parts.query else "")
        named = parts.netloc.rpartition("@")[2]
        head = f"POST {path or '/'} HTTP/1.1\r\nhost: {named}\r\n"
        return cls(parts.scheme == "https", host, port, head.encode())


class Client:
    """Made inside the event loop; ``headers`` go with every request.

    A kept connection that its other side closes is forgotten; after `KEEP_S` ours does.
    """

    def __init__(self, headers: Mapping[str, str], keep_s: float = KEEP_S) -> None:
        self._headers = lines(headers)
        self._keep_s = keep_s
        self._loop = asyncio.get_running_loop()
        self._tls = _trusted()
        self._kept: dict[tuple[bool, str, int], list[Connection]] = {}
        self._sweeping: asyncio.TimerHandle | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def post(
        self, address: Address, headers: bytes, body: bytes, ends_s: float
    ) -> Connection:
        """The answer, once its head is there. Give it back by `release`.

        Args:
            headers: of this request, as `lines` gives them.
            ends_s: of the event loop's clock. What is not there by then raises `TimeoutError`,
                here or while the body is read.
        Raises:
            BrokeOff: the connection ended, or what came is no HTTP.
            OSError: there is no connection.
        """
        connection = self._take(address) or await self._connect(address, ends_s)
        length = b"content-length: %d\r\n\r\n" % len(body)
        try:
            await connection.ask(
                b"".join((address.head, self._headers, headers, length, body)), ends_s
            )
        except BaseException:
            connection.close()
            raise
        return connection

    def release(self, address: Address, connection: Connection) -> None:
        """Keep the connection for the next request if its answer is whole, else close it."""
        if not connection.rest():
            connection.close()
            return
        self._kept.setdefault(_origin(address), []).append(connection)
        if self._sweeping is None:
            self._sweeping = self._loop.call_later(self._keep_s, self._sweep)

    async def close(self) -> None:
        if self._sweeping is not None:
            self._sweeping.cancel()
        for kept in self._kept.values():
            for connection in kept:
                connection.close()
        self._kept.clear()
        await asyncio.sleep(0)  # transports close in the loop's next turn

    def _take(self, address: Address) -> Connection | None:
        kept = self._kept.get(_origin(address), [])
        while kept:
            connection = kept.pop()
            if connection.idle(self._keep_s):
                return connection
            connection.close()
        return None

    async def _connect(self, address: Address, ends_s: float) -> Connection:
        most_s = self._loop.time() + CONNECT_S
        try:
            async with asyncio.timeout_at(min(ends_s, most_s)):
                _, connection = await self._loop.create_connection(
                    Connection,
                    address.host,
                    address.port,
                    ssl=self._tls if address.secure else None,
                    happy_eyeballs_delay=0.25,
                )
        except TimeoutError:
            if ends_s <= most_s:
                raise
            raise ConnectionError(f"no connection in {CONNECT_S} s") from None
        return connection

    def _sweep(self) -> None:
        """Close what nobody has used for long."""
        for origin, kept in list(self._kept.items()):
            for connection in [each for each in kept if not each.idle(self._keep_s)]:
                kept.remove(connection)
                connection.close()
            if not kept:
                del self._kept[origin]
        later = self._loop.call_later
        self._sweeping = later(self._keep_s, self._sweep) if self._kept else None


def lines(headers: Mapping[str, str]) -> bytes:
    """Headers as they are sent.

    Raises:
        ValueError: one would be more than a line.
    """
    if not all(
        f"{name}{value}".isascii() and value.isprintable() for name, value in headers.items()
    ):
        raise ValueError("a header is one line of plain text")  # and may be a secret: not told
    return "".join(f"{name}: {value}\r\n" for name, value in headers.items()).encode()


@cache
def _trusted() -> ssl.SSLContext:
    """Reading all authorities takes tens of milliseconds."""
    return ssl.create_default_context()


def _origin(address: Address) -> tuple[bool, str, int]:
    return address.secure, address.host, address.port
