"""Start in order, stop in reverse, raise what failed."""

import asyncio
import json

import pytest

from libs.runtime.config import DoorSettings, ServiceSettings
from libs.runtime.service import Service, serve
from tests.ports import free_port
from tests.unit.libs.runtime.witness import Witness


def settings(port: int) -> ServiceSettings:
    return ServiceSettings(ops=DoorSettings(port=port), drain_s=1.0)


async def test_parts_stop_in_the_reverse_of_their_order() -> None:
    diary: list[str] = []
    stop = asyncio.Event()
    stop.set()
    parts = [Witness("first", diary), Witness("second", diary)]

    await serve(Service("witness", settings(free_port()), parts), stop)

    assert diary[:2] == ["enter first", "enter second"]
    assert diary[-2:] == ["exit second", "exit first"]


async def test_a_part_that_fails_stops_the_others_and_is_what_is_raised() -> None:
    diary: list[str] = []
    parts = [Witness("sound", diary), Witness("broken", diary, RuntimeError("broken"))]

    with pytest.raises(RuntimeError, match="broken"):
        await serve(Service("witness", settings(free_port()), parts), asyncio.Event())

    assert "drained sound" in diary


async def test_readiness_names_the_part_that_is_not_ready() -> None:
    port = free_port()
    stop = asyncio.Event()
    service = Service("witness", settings(port), [Witness("slow", [])])
    running = asyncio.create_task(serve(service, stop))
    await asyncio.sleep(0)

    for _ in range(100):
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            break
        except ConnectionError:
            await asyncio.sleep(0.01)
    writer.write(b"GET /readyz HTTP/1.1\r\n\r\n")
    head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    stop.set()
    await running

    assert head.startswith(b"HTTP/1.1 503")
    assert json.loads(body)["waiting_for"] == ["slow: warming"]
