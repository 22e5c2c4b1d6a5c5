"""The client, on real local sockets: what servers send, well or not."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import pytest

from libs.http.client import Address, Client, lines
from libs.http.exchange import BrokeOff, Connection

OK = b"HTTP/1.1 200 OK\r\n"
WHOLE = OK + b"Content-Length: 5\r\n\r\nhello"


@dataclass
class Server:
    """Sends ``packets`` for each request, each once the one before it is on its way."""

    packets: Sequence[bytes]
    ends: bool = False
    requests: list[bytes] = field(default_factory=list)
    writers: list[asyncio.StreamWriter] = field(default_factory=list)
    port: int = 0

    @property
    def address(self) -> Address:
        return Address.of(f"http://127.0.0.1:{self.port}/v1/x?y=z")

    @asynccontextmanager
    async def open(self) -> AsyncIterator["Server"]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            for writer in self.writers:
                writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writers.append(writer)
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                self.requests.append(head + await reader.readexactly(2))
                for packet in self.packets:
                    writer.write(packet)
                    await writer.drain()
                    await asyncio.sleep(0)
                if self.ends:
                    writer.close()


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    async with Client({"user-agent": "us"}) as made:
        yield made


async def asked(client: Client, server: Server, timeout_s: float = 5.0) -> tuple[Connection, bytes]:
    """The answer, given back, and its body."""
    ends_s = asyncio.get_running_loop().time() + timeout_s
    answer = await client.post(server.address, lines({"x-a": "b"}), b"{}", ends_s)
    try:
        return answer, b"".join([chunk async for chunk in answer])
    finally:
        client.release(server.address, answer)


async def test_a_request_is_what_was_said_and_the_answer_what_came(client: Client) -> None:
    async with Server([WHOLE]).open() as server:
        answer, body = await asked(client, server)

    assert (answer.status, answer.headers, body) == (200, {"content-length": "5"}, b"hello")
    assert server.requests == [
        b"POST /v1/x?y=z HTTP/1.1\r\nhost: 127.0.0.1:%d\r\nuser-agent: us\r\nx-a: b\r\n"
        b"content-length: 2\r\n\r\n{}" % server.port
    ]


@pytest.mark.parametrize(
    "sent",
    [
        WHOLE,
        OK + b"transfer-encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\nx-t: 1\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 X\r\nlink: a\r\n\r\n" + WHOLE,
    ],
)
async def test_one_connection_serves_one_answer_after_another_however_it_is_cut(
    client: Client, sent: bytes
) -> None:
    async with Server([bytes([byte]) for byte in sent]).open() as server:
        bodies = [(await asked(client, server))[1] for _ in range(3)]

    assert bodies == [b"hello"] * 3
    assert len(server.writers) == 1


async def test_a_body_without_a_length_ends_with_its_connection(client: Client) -> None:
    async with Server([OK + b"\r\nhel", b"lo"], ends=True).open() as server:
        assert (await asked(client, server))[1] == b"hello"
        assert (await asked(client, server))[1] == b"hello"

    assert len(server.writers) == 2


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        OK,
        OK + b"content-length: 9\r\n\r\nhello",
        OK + b"transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n",
        b"SSH-2.0-OpenSSH_9.6\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n",
        OK + b"x: " + b"y" * 100_000,
    ],
)
async def test_what_ends_too_early_or_is_no_http_broke_off(client: Client, sent: bytes) -> None:
    async with Server([sent], ends=True).open() as server:
        with pytest.raises(BrokeOff):
            await asked(client, server)


@pytest.mark.parametrize("sent", [b"", OK + b"content-length: 9\r\n\r\nhello"])
async def test_what_is_not_there_in_time_is_given_up(client: Client, sent: bytes) -> None:
    async with Server([sent]).open() as server:
        with pytest.raises(TimeoutError):
            await asked(client, server, timeout_s=0.05)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda writer: writer.close(),
        lambda writer: writer.write(b"HTTP/1.1 408 Too late\r\n\r\n"),
    ],
)
async def test_a_kept_connection_that_its_server_gave_up_is_not_used_again(
    client: Client, spoil: Callable[[asyncio.StreamWriter], None]
) -> None:
    async with Server([WHOLE]).open() as server:
        answer, _ = await asked(client, server)
        spoil(server.writers[0])
        while answer.idle(60.0):  # noqa: ASYNC110  # the loop has yet to read it
            await asyncio.sleep(0)

        assert (await asked(client, server))[1] == b"hello"
        assert len(server.writers) == 2


async def test_an_answer_too_many_is_nobody_elses(client: Client) -> None:
    async with Server([WHOLE + OK + b"content-length: 6\r\n\r\nstrang"]).open() as server:
        answers = [await asked(client, server) for _ in range(2)]

    assert [body for _, body in answers] == [b"hello"] * 2
    assert len(server.writers) == 2


async def test_a_kept_connection_is_closed_after_a_while() -> None:
    async with Server([WHOLE]).open() as server, Client({}, keep_s=0.01) as client:
        answer, _ = await asked(client, server)

        while answer.idle(60.0):  # noqa: ASYNC110  # the sweep comes by itself
            await asyncio.sleep(0.005)

        assert (await asked(client, server))[1] == b"hello"


async def test_a_body_that_nobody_reads_is_not_taken(client: Client) -> None:
    flood = OK + b"content-length: 90000000\r\n\r\n", *[b"x" * 1_000_000] * 90
    async with Server(flood).open() as server:
        ends_s = asyncio.get_running_loop().time() + 5.0
        answer = await client.post(server.address, b"", b"{}", ends_s)
        for _ in range(100):
            await asyncio.sleep(0)

        assert 0 < len(await anext(answer)) < 1_000_000
        client.release(server.address, answer)


@pytest.mark.parametrize("url", ["ftp://a/b", "http:///b", "http://a/b c", "http://ü/", "a"])
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="is no address"):
        Address.of(url)


@pytest.mark.parametrize("value", ["a\r\nx: y", "ü", "a\0"])
def test_a_header_that_would_be_more_is_refused_and_not_told(value: str) -> None:
    with pytest.raises(ValueError, match="one line") as refusal:
        lines({"authorization": value})

    assert value not in str(refusal.value)
