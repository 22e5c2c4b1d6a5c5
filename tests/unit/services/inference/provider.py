"""An OpenAI-compatible server on 127.0.0.1 that can misbehave in every way that we fear."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from services.inference.domain.release import Provider

Handler = Callable[["LocalProvider", asyncio.StreamWriter, dict[str, Any]], Any]


def event(value: object) -> bytes:
    return b"data: " + (value if isinstance(value, bytes) else json.dumps(value).encode()) + b"\n\n"


def piece(model: str, text: str | None, reason: str | None = None) -> bytes:
    delta = {} if text is None else {"content": text}
    choice = {"index": 0, "delta": delta, "finish_reason": reason}
    return event({"model": model, "choices": [choice]})


def head(status: int = 200, kind: str = "text/event-stream", more: str = "") -> bytes:
    return (
        f"HTTP/1.1 {status} X\r\ncontent-type: {kind}\r\nconnection: close\r\n{more}\r\n".encode()
    )


async def answers(
    server: "LocalProvider", out: asyncio.StreamWriter, asked: dict[str, Any]
) -> None:
    out.write(head())
    words = server.say(asked)
    for word in words:
        out.write(piece(server.model, word))
    out.write(piece(server.model, None, "stop"))
    usage = {"prompt_tokens": 10, "completion_tokens": len(words)}
    out.write(event({"model": server.model, "choices": [], "usage": usage}))
    out.write(event(b"[DONE]"))


async def hangs(server: "LocalProvider", out: asyncio.StreamWriter, _: dict[str, Any]) -> None:
    await server.stopped.wait()


async def hangs_midway(
    server: "LocalProvider", out: asyncio.StreamWriter, _: dict[str, Any]
) -> None:
    out.write(head() + piece(server.model, "one"))
    await out.drain()
    await server.stopped.wait()


async def fails(_: "LocalProvider", out: asyncio.StreamWriter, __: dict[str, Any]) -> None:
    out.write(head(500, "text/plain") + b"Traceback: /srv/secret.py")


async def refuses(_: "LocalProvider", out: asyncio.StreamWriter, __: dict[str, Any]) -> None:
    out.write(head(400, "application/json") + b'{"error": {"message": "too long"}}')


async def refuses_the_length(
    _: "LocalProvider", out: asyncio.StreamWriter, __: dict[str, Any]
) -> None:
    said = b'{"error": {"message": "Too long.", "code": "context_length_exceeded"}}'
    out.write(head(400, "application/json") + said)


async def refuses_max_tokens(
    server: "LocalProvider", out: asyncio.StreamWriter, asked: dict[str, Any]
) -> None:
    """As a reasoning model of OpenAI's."""
    if {"max_tokens", "temperature"}.isdisjoint(asked):
        await answers(server, out, asked)
        return
    error = {"code": "unsupported_parameter", "param": "max_tokens", "message": "Unsupported"}
    out.write(head(400, "application/json") + json.dumps({"error": error}).encode())


async def is_busy(_: "LocalProvider", out: asyncio.StreamWriter, __: dict[str, Any]) -> None:
    out.write(head(429, "application/json", "retry-after: 7\r\n") + b"{}")


async def sends_garbage(_: "LocalProvider", out: asyncio.StreamWriter, __: dict[str, Any]) -> None:
    out.write(head() + b'data: {"choices": [[[\n\n\x00\xff<html>\n\n')


async def sends_deep_garbage(
    _: "LocalProvider", out: asyncio.StreamWriter, __: dict[str, Any]
) -> None:
    out.write(head() + b"data: " + b"[" * 100_000 + b"\n\n")


async def sends_one_endless_line(
    _: "LocalProvider", out: asyncio.StreamWriter, __: dict[str, Any]
) -> None:
    out.write(head() + b"data: ")
    with suppress(ConnectionError):
        for _n in range(64):
            out.write(b"x" * 65536)
            await out.drain()


async def never_ends(server: "LocalProvider", out: asyncio.StreamWriter, _: dict[str, Any]) -> None:
    out.write(head())
    with suppress(ConnectionError):
        while not server.stopped.is_set():
            out.write(b": still thinking\n\n" * 4096)
            await out.drain()


async def cuts(server: "LocalProvider", out: asyncio.StreamWriter, _: dict[str, Any]) -> None:
    out.write(head() + piece(server.model, "one") + piece(server.model, " two"))


async def cuts_at_once(_: "LocalProvider", out: asyncio.StreamWriter, __: dict[str, Any]) -> None:
    out.write(head())


async def closes(_: "LocalProvider", __: asyncio.StreamWriter, ___: dict[str, Any]) -> None:
    return


async def reports_an_error(
    server: "LocalProvider", out: asyncio.StreamWriter, _: dict[str, Any]
) -> None:
    out.write(head() + event({"error": {"message": "overloaded"}}))


async def answers_at_once(
    server: "LocalProvider", out: asyncio.StreamWriter, asked: dict[str, Any]
) -> None:
    message = {"role": "assistant", "content": "".join(server.say(asked))}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    usage = {"prompt_tokens": 10, "completion_tokens": 3}
    body = {"model": server.model, "choices": [choice], "usage": usage}
    out.write(head(kind="application/json") + json.dumps(body).encode())


def three_words(_: dict[str, Any]) -> list[str]:
    return ["Hello", " from", " outside"]


@dataclass
class LocalProvider:
    """``behave`` may be set anew at any time; ``script`` is used up before it."""

    behave: Handler = answers
    script: list[Handler] = field(default_factory=list)
    model: str = "small-001"
    say: Callable[[dict[str, Any]], list[str]] = three_words
    requests: list[dict[str, Any]] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    stopped: asyncio.Event = field(default_factory=asyncio.Event)
    port: int = 0

    @property
    def provider(self) -> Provider:
        return self.named("outside")

    def named(self, name: str, **changes: Any) -> Provider:
        url = f"http://127.0.0.1:{self.port}/v1"
        values: dict[str, Any] = {"timeout_s": 5.0, "prompt_cost": 2.0, "completion_cost": 10.0}
        return Provider(name, url, "small", **(values | changes))

    @asynccontextmanager
    async def open(self) -> AsyncIterator["LocalProvider"]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            self.stopped.set()
            server.close()

    async def _serve(self, reader: asyncio.StreamReader, out: asyncio.StreamWriter) -> None:
        try:
            headers = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
            fields = dict(line.split(": ", 1) for line in headers.split("\r\n")[1:] if line)
            body = await reader.readexactly(int(fields["content-length"]))
            self.keys.append(fields.get("authorization", ""))
            self.requests.append(json.loads(body))
            behave = self.script.pop(0) if self.script else self.behave
            await behave(self, out, self.requests[-1])
            await out.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            out.close()
