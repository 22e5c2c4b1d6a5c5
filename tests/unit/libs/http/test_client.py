"""The client, on real local sockets, before servers good and bad."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from libs.http.client import Answer, Bounds, Broken, Client, TooLarge, address

HELLO = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello"
CHUNKED = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"


@dataclass
class Scripted:
    """Answers each request, on whatever connection, with the next of ``answers``."""

    answers: list[bytes]
    url: str = ""
    heads: list[bytes] = field(default_factory=list)
    connections: int = 0
    closes: bool = False

    async def serve(self, reader: asyncio.StreamReader, out: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                self.heads.append(head)
                await reader.readexactly(2)
                out.write(self.answers.pop(0))
                if self.closes:
                    break
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            out.close()


@asynccontextmanager
async def scripted(*answers: bytes, closes: bool = False) -> AsyncIterator[Scripted]:
    script = Scripted(list(answers), closes=closes)
    async with await asyncio.start_server(script.serve, "127.0.0.1", 0) as server:
        script.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1/ask"
        yield script


async def asked(client: Client, url: str, within_s: float = 5.0, most: int = 100_000) -> Answer:
    ends_s = asyncio.get_running_loop().time() + within_s
    return await client.post(url, {"x-key": "k"}, b"{}", Bounds(ends_s, most))


async def whole(client: Client, url: str, within_s: float = 5.0, most: int = 100_000) -> bytes:
    answer, found = await asked(client, url, within_s, most), b""
    try:
        while chunk := await answer.chunk():
            found += chunk
    finally:
        answer.close()
    return found


async def test_answers_after_each_other_travel_on_one_connection() -> None:
    chunks = CHUNKED + b"3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n"
    async with scripted(HELLO, chunks, HELLO) as server, Client() as client:
        assert [await whole(client, server.url) for _ in range(3)] == [b"hello"] * 3

    assert server.connections == 1
    assert server.heads[0].startswith(b"POST /v1/ask HTTP/1.1\r\nhost: 127.0.0.1:")
    assert b"\r\nx-key: k\r\ncontent-length: 2\r\n\r\n" in server.heads[0]


async def test_an_answer_without_a_length_ends_with_its_connection() -> None:
    answer = b"HTTP/1.1 200 OK\r\n\r\nhello"
    async with scripted(answer, closes=True) as server, Client() as client:
        assert await whole(client, server.url) == b"hello"


async def test_what_comes_before_the_answer_is_passed_over() -> None:
    early = b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n"
    async with scripted(early + HELLO) as server, Client() as client:
        answer = await asked(client, server.url)

        assert (answer.status, answer.headers) == (200, {"content-length": "5"})
        answer.close()


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (b"", Broken),
        (b"220 smtp.example.org ESMTP\r\n", Broken),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 50\r\n\r\nhello", Broken),
        (CHUNKED + b"5\r\nhello\r\n", Broken),
        (CHUNKED + b"zz\r\nhello\r\n", Broken),
        (b"HTTP/1.1 200 OK\r\nx: " + b"y" * 200_000, TooLarge),
        (CHUNKED + b"30d40\r\n" + b"y" * 200_000 + b"\r\n0\r\n\r\n", TooLarge),
    ],
)
async def test_what_is_cut_no_http_or_too_large_is_told_apart(
    answer: bytes, error: type[Exception]
) -> None:
    async with scripted(answer, HELLO, closes=True) as server, Client() as client:
        with pytest.raises(error):
            await whole(client, server.url)

        assert await whole(client, server.url) == b"hello"


async def test_a_server_that_stops_midway_is_waited_for_until_the_bound() -> None:
    async with scripted(CHUNKED + b"5\r\nhello\r\n") as server, Client() as client:
        with pytest.raises(TimeoutError):
            await whole(client, server.url, within_s=0.05)


async def test_a_connection_that_says_more_than_the_answer_is_not_used_again() -> None:
    async with scripted(HELLO + HELLO, HELLO) as server, Client() as client:
        assert [await whole(client, server.url) for _ in range(2)] == [b"hello"] * 2

        assert server.connections == 2


async def test_an_answer_that_is_left_alone_before_its_end_costs_its_connection() -> None:
    async with scripted(CHUNKED + b"5\r\nhello\r\n", HELLO) as server, Client() as client:
        (await asked(client, server.url)).close()

        assert await whole(client, server.url) == b"hello"
        assert server.connections == 2


async def test_an_end_that_comes_a_moment_later_leaves_the_connection_to_the_next() -> None:
    connections = []
    told = asyncio.Event()

    async def late(reader: asyncio.StreamReader, out: asyncio.StreamWriter) -> None:
        connections.append(out)
        await reader.readuntil(b"{}")
        out.write(CHUNKED + b"5\r\nhello\r\n")
        await told.wait()
        out.write(b"0\r\n\r\n")
        await reader.readuntil(b"{}")
        out.write(HELLO)

    async with await asyncio.start_server(late, "127.0.0.1", 0) as server, Client() as client:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        answer = await asked(client, url)
        assert await answer.chunk() == b"hello"

        answer.close(linger_s=30.0)
        told.set()
        while not answer.ended:  # noqa: ASYNC110  # nobody is told, by design
            await asyncio.sleep(0)

        assert await whole(client, url) == b"hello"
        assert len(connections) == 1
        connections[0].close()


async def test_nobody_there_is_an_os_error() -> None:
    async with Client() as client:
        with pytest.raises(OSError, match="Connect"):
            await whole(client, "http://127.0.0.1:9/")


async def test_a_header_with_a_line_of_its_own_is_never_sent() -> None:
    async with Client() as client:
        with pytest.raises(ValueError, match="header"):
            await client.post("http://127.0.0.1:9/", {"x": "a\r\nhost: evil"}, b"", Bounds(1e12, 1))


def test_an_address_names_its_host_without_secrets() -> None:
    found = address("https://user:pass@[::1]:8443/a b/%C3%A4")

    assert (found.origin, found.named) == (("::1", 8443, True), "[::1]:8443")
    assert found.target == "/a%20b/%C3%A4"
    with pytest.raises(ValueError, match="address"):
        address("file:///etc/passwd")
