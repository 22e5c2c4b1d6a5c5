"""The ops port: /healthz, /readyz, /metrics. Starts first, stops last."""

import asyncio
import json
import time
from collections.abc import Callable
from http import HTTPStatus
from typing import Final, Self

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from libs.runtime.config import DoorSettings

READ_TIMEOUT_S: Final = 5.0
LOOP_STALL_S: Final = 10.0
"""An event loop that has not turned for this long is not alive."""


class OpsServer:
    """A few lines of HTTP/1.1 on asyncio: this port must work when everything else is stuck."""

    name = "ops"

    def __init__(self, settings: DoorSettings, why_not_ready: Callable[[], list[str]]) -> None:
        self._settings = settings
        self._why_not_ready = why_not_ready
        self._turned = time.monotonic()
        self._beat: asyncio.Task[None] | None = None
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> Self:
        self._beat = asyncio.create_task(self._heartbeat())
        self._server = await asyncio.start_server(
            self._answer, self._settings.host, self._settings.port, limit=8192
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._server is not None:
            self._server.close()
        if self._beat is not None:
            self._beat.cancel()

    async def _heartbeat(self) -> None:
        while True:
            self._turned = time.monotonic()
            await asyncio.sleep(1.0)

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            line = await asyncio.wait_for(reader.readline(), READ_TIMEOUT_S)
            path = line.split(b" ")[1].decode("ascii", errors="replace") if b" " in line else ""
            status, kind, body = self._page(path)
            head = (
                f"HTTP/1.1 {status.value} {status.phrase}\r\ncontent-type: {kind}\r\n"
                f"content-length: {len(body)}\r\nconnection: close\r\n\r\n"
            )
            writer.write(head.encode() + body)
            await asyncio.wait_for(writer.drain(), READ_TIMEOUT_S)
        except (TimeoutError, ConnectionError, ValueError):
            pass  # a slow or odd client of the ops port harms nobody else
        finally:
            writer.close()

    def _page(self, path: str) -> tuple[HTTPStatus, str, bytes]:
        if path == "/healthz":
            stalled_s = time.monotonic() - self._turned
            alive = stalled_s < LOOP_STALL_S
            body = {"alive": alive, "stalled_s": round(stalled_s, 1)}
            return self._json(HTTPStatus.OK if alive else HTTPStatus.SERVICE_UNAVAILABLE, body)
        if path == "/readyz":
            waiting = self._why_not_ready()
            ready = HTTPStatus.SERVICE_UNAVAILABLE if waiting else HTTPStatus.OK
            return self._json(ready, {"ready": not waiting, "waiting_for": waiting})
        if path == "/metrics":
            return HTTPStatus.OK, CONTENT_TYPE_LATEST, generate_latest()
        return self._json(HTTPStatus.NOT_FOUND, {"paths": ["/healthz", "/readyz", "/metrics"]})

    @staticmethod
    def _json(status: HTTPStatus, body: object) -> tuple[HTTPStatus, str, bytes]:
        return status, "application/json", json.dumps(body).encode()


async def is_alive(door: DoorSettings) -> bool:
    """Whether the process with this ops port says that it is."""
    try:
        async with asyncio.timeout(READ_TIMEOUT_S):
            reader, writer = await asyncio.open_connection(door.host, door.port)
            try:
                writer.write(b"GET /healthz HTTP/1.1\r\n\r\n")
                return b" 200 " in await reader.readline()
            finally:
                writer.close()
    except (OSError, TimeoutError):
        return False
