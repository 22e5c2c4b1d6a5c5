"""Slow and greedy connections, on real local sockets."""

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest
from fastapi import FastAPI, Request

from libs.faults import Poison
from libs.http.app import Bounded, problem
from libs.http.patience import MAX_HEAD_BYTES
from libs.http.server import HttpServer
from libs.runtime.config import DoorSettings
from tests.ports import free_port


@pytest.fixture
async def port() -> AsyncIterator[int]:
    free, app = free_port(), FastAPI()
    app.add_exception_handler(Poison, problem)
    app.add_middleware(Bounded, max_body_bytes=1024 * 1024, body_s=0.3)

    @app.post("/echo")
    async def echo(request: Request) -> int:
        return len(await request.body())

    async with HttpServer(DoorSettings(port=free), app, 1, head_s=0.3):
        yield free


async def test_above_its_bound_of_connections_a_door_says_when_to_come_again() -> None:
    port, app = free_port(), FastAPI()
    url = f"http://127.0.0.1:{port}/"
    async with HttpServer(DoorSettings(port=port), app, 1, most=1):
        async with httpx.AsyncClient() as first, httpx.AsyncClient() as second:
            assert (await first.get(url)).status_code == 404

            refused = await second.get(url)

        assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
        assert refused.headers["connection"] == "close"
        assert refused.headers["content-type"] == "application/problem+json"


async def ended(reader: asyncio.StreamReader) -> bytes:
    async with asyncio.timeout(20):
        return await reader.read()


@pytest.mark.parametrize(
    "start", [b"", b"POST /echo HTTP/1.1\r\n", b"POST /echo HTTP/1.1\r\nx-a: 1\r\nx-b"]
)
async def test_a_connection_that_never_says_what_it_wants_is_closed(
    port: int, start: bytes
) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(start)

    assert await ended(reader) == b""
    writer.close()


async def test_a_second_request_that_never_ends_its_head_is_closed_too(port: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    whole = b"POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\nhi"

    writer.write(whole + b"POST /echo HTTP/1.1\r\nx-a")

    assert (await ended(reader)).startswith(b"HTTP/1.1 200")
    writer.close()


async def test_an_endless_head_is_not_kept(port: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"POST /echo HTTP/1.1\r\n" + b"x-a: 1\r\n" * (MAX_HEAD_BYTES // 8 + 1))

    assert await ended(reader) == b""
    writer.close()


async def test_a_body_that_does_not_come_is_given_up(port: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\nhalf")

    async with asyncio.timeout(20):
        status = await reader.readline()

    assert b"408" in status
    writer.close()


async def test_a_client_that_takes_its_time_between_requests_is_kept(port: int) -> None:
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
        assert (await client.post("/echo", content=b"hello")).json() == 5
        await asyncio.sleep(0.5)
        assert (await client.post("/echo", content=b"again")).json() == 5
