"""A gateway that does nothing: the libraries of ours, which pass a request on and its answer back.
``python -m tests.bench.serving.passing PORT UPSTREAM_PORT``"""

import sys

import aiohttp
import uvicorn
from starlette.types import Receive, Scope, Send

JSON = [(b"content-type", b"application/json")]


class Passing:
    def __init__(self, upstream: str) -> None:
        self._upstream = upstream
        self._http: aiohttp.ClientSession | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._http = self._http or aiohttp.ClientSession()
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message["body"], message["more_body"]
        async with self._http.post(self._upstream, data=body) as response:
            answer = await response.read()
        head = [*JSON, (b"content-length", b"%d" % len(answer))]
        await send({"type": "http.response.start", "status": response.status, "headers": head})
        await send({"type": "http.response.body", "body": answer})


if __name__ == "__main__":
    port, upstream_port = sys.argv[1:]
    app = Passing(f"http://127.0.0.1:{upstream_port}/v1/chat/completions")
    uvicorn.run(app, port=int(port), loop="uvloop", lifespan="off", log_level="warning")
