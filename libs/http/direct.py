"""The few paths that are asked most, answered past the application's routing and middlewares:
those cost more than many an answer."""

from collections.abc import Awaitable, Callable, Mapping

from fastapi import Request
from fastapi.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from libs.faults import Poison, Retryable
from libs.http.app import Bounded, Telling, bug, problem

Handler = Callable[[Request], Awaitable[Response]]


class Direct:
    """Bounds bodies, names requests and tells faults as the application does.

    Args:
        app: what answers everything else; it serves ``paths`` too, for whoever lists its routes.
        paths: handlers by method and path.
    """

    def __init__(
        self,
        app: ASGIApp,
        paths: Mapping[tuple[str, str], Handler],
        max_body_bytes: int,
        tell: Telling = problem,
        tell_bug: Telling = bug,
    ) -> None:
        self._app = app
        self._paths = {
            where: Bounded(_Told(handler, tell, tell_bug), max_body_bytes, tell)
            for where, handler in paths.items()
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        app: ASGIApp = self._app
        if scope["type"] == "http":
            app = self._paths.get((scope["method"], scope["path"]), app)
        await app(scope, receive, send)


class _Told:
    def __init__(self, handler: Handler, tell: Telling, tell_bug: Telling) -> None:
        self._handler, self._tell, self._tell_bug = handler, tell, tell_bug

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        started = False

        async def noted(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            response = await self._handler(request)
            await response(scope, receive, noted)
        except (Poison, Retryable) as fault:
            if started:
                raise
            told = await self._tell(request, fault)
            await told(scope, receive, send)
        except Exception as error:
            if not started:
                told = await self._tell_bug(request, error)
                await told(scope, receive, send)
            raise
