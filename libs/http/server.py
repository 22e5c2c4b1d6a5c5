"""uvicorn as a Part, inside the service's loop; the service owns the signals."""

import asyncio
from functools import partial
from typing import Final, Self

import structlog
import uvicorn
from fastapi import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from libs.faults import Retryable
from libs.http.app import Telling, problem
from libs.http.patience import HEAD_S, PatientProtocol
from libs.runtime.config import DoorSettings
from libs.runtime.shared import listening

log = structlog.get_logger()

KEEP_ALIVE_S: Final = 30
POLL_S: Final = 0.02
MAX_CONNECTIONS: Final = 2000


class HttpServer:
    """``shared``: other processes listen at the same port. Above ``most`` connections requests
    are sent away, by ``tell``, and theirs are closed."""

    name = "http"

    def __init__(
        self,
        settings: DoorSettings,
        app: ASGIApp,
        drain_s: int = 10,
        head_s: float = HEAD_S,
        *,
        shared: bool = False,
        tell: Telling = problem,
        most: int = MAX_CONNECTIONS,
    ) -> None:
        self._settings = settings
        self._shared = shared
        self._app, self._tell, self._most = app, tell, most
        self._server = uvicorn.Server(
            uvicorn.Config(
                self._bounded,
                interface="asgi3",
                http=partial(PatientProtocol, head_s=head_s),  # type: ignore[arg-type]  # it is called, no more
                host=settings.host,
                port=settings.port,
                log_config=None,
                access_log=False,
                timeout_keep_alive=KEEP_ALIVE_S,
                timeout_graceful_shutdown=drain_s,
            )
        )
        self._task: asyncio.Task[None] | None = None

    async def _bounded(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and len(self._server.server_state.connections) > self._most:
            told = await self._tell(Request(scope), Retryable("too many connections are open"))
            told.headers["connection"] = "close"
            await told(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def __aenter__(self) -> Self:
        config = self._server.config
        config.load()
        self._server.lifespan = config.lifespan_class(config)
        self._task = asyncio.create_task(self._run())
        while not self._server.started and not self._task.done():  # noqa: ASYNC110
            await asyncio.sleep(POLL_S)  # uvicorn offers a flag, no event
        if not self._server.started:
            raise OSError(f"cannot listen on {self._settings.host}:{self._settings.port}")
        log.info("http.listening", address=f"{self._settings.host}:{self._settings.port}")
        return self

    async def _run(self) -> None:
        sockets = [listening(self._settings)] if self._shared else None
        await self._server._serve(sockets)  # serve() would take the process's signals

    async def __aexit__(self, *_: object) -> None:
        self._server.should_exit = True
        if self._task is not None:
            await asyncio.gather(self._task, return_exceptions=True)

    async def serve(self, stop: asyncio.Event) -> None:
        await stop.wait()

    def unready(self) -> str | None:
        return None if self._server.started else "not listening"
