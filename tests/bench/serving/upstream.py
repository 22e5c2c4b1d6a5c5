"""A chat-completions API that answers at once. ``python -m tests.bench.serving.upstream PORT``"""

import asyncio
import json
import sys
from typing import Final

from tests.bench.serving.protocol import END, Parser

TEXT: Final = "The card arrives within five working days."
USAGE: Final = {"prompt_tokens": 12, "completion_tokens": 9, "total_tokens": 21}
COMMON: Final = {"id": "chatcmpl-1", "created": 1, "model": "mock"}


def whole() -> bytes:
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": TEXT},
        "finish_reason": "stop",
        "logprobs": None,
    }
    body = {**COMMON, "object": "chat.completion", "choices": [choice], "usage": USAGE}
    return _response("application/json", json.dumps(body).encode())


def streamed() -> bytes:
    first = {"index": 0, "delta": {"role": "assistant", "content": TEXT}, "finish_reason": None}
    last = {"index": 0, "delta": {}, "finish_reason": "stop"}
    kind = {**COMMON, "object": "chat.completion.chunk"}
    chunks = [
        {**kind, "choices": [first]},
        {**kind, "choices": [last]},
        {**kind, "choices": [], "usage": USAGE},
    ]
    lines = [f"data: {json.dumps(chunk)}\n\n" for chunk in chunks] + ["data: [DONE]\n\n"]
    return _response("text/event-stream", "".join(lines).encode())


def _response(kind: str, body: bytes) -> bytes:
    head = f"HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ncontent-length: {len(body)}"
    return head.encode() + END + body


class Upstream(asyncio.Protocol):
    WHOLE: Final = whole()
    STREAMED: Final = streamed()

    def __init__(self) -> None:
        self._parser = Parser()
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        message = self._parser.feed(data)
        if message is None or self._transport is None:
            return
        wants_stream = b'"stream":true' in message[1] or b'"stream": true' in message[1]
        self._transport.write(self.STREAMED if wants_stream else self.WHOLE)


async def main(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(Upstream, "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
