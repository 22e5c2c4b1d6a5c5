"""Login with the operator token; a signed cookie that ends by itself."""

import asyncio
import hashlib
import hmac
from dataclasses import dataclass
from typing import Annotated, Final

from fastapi import FastAPI, Form, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from starlette.datastructures import Headers
from starlette.requests import cookie_parser
from starlette.types import ASGIApp, Receive, Scope, Send

from libs.runtime.clock import Clock
from services.console.http.plain_pages import login_page

COOKIE: Final = "perennial-console"
OPEN: Final = frozenset({"/login"})
WRONG_TOKEN_S: Final = 0.5
"""A wrong token is answered this slowly."""


@dataclass(frozen=True, slots=True)
class Sessions:
    """A session is ``<unix end>.<hmac>`` under a key that is derived from the token: it
    survives a restart, and ends when the token changes."""

    token: str
    hours: float
    clock: Clock

    def begin(self) -> str:
        end = int(self.clock.now().timestamp() + 3600 * self.hours)
        return f"{end}.{self._sign(end)}"

    def holds(self, session: str | None) -> bool:
        end, _, signature = (session or "").partition(".")
        if not (end.isascii() and end.isdigit() and len(end) < 16):
            return False
        if not hmac.compare_digest(signature.encode(), self._sign(int(end)).encode()):
            return False
        return self.clock.now().timestamp() < int(end)

    def knows(self, token: str) -> bool:
        return hmac.compare_digest(token.strip().encode(), self.token.encode())

    def _sign(self, end: int) -> str:
        key = hashlib.sha256(b"perennial-console-session:" + self.token.encode()).digest()
        return hmac.new(key, str(end).encode(), hashlib.sha256).hexdigest()


class Guard:
    """Nothing but the login without a session: pages, scripts and the web socket alike."""

    def __init__(self, app: ASGIApp, sessions: Sessions) -> None:
        self._app = app
        self._sessions = sessions

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in {"http", "websocket"} or scope["path"] in OPEN:
            return await self._app(scope, receive, send)
        headers = Headers(scope=scope)
        cookies = cookie_parser(headers.get("cookie", ""))
        if self._sessions.holds(cookies.get(COOKIE)):
            return await self._app(scope, receive, send)
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 4401})
            return None
        wants_page = "text/html" in headers.get("accept", "")
        refusal: Response = (
            RedirectResponse("/login", 303) if wants_page else Response("log in", 401)
        )
        await refusal(scope, receive, send)
        return None


def add_login(app: FastAPI, sessions: Sessions) -> None:
    """GET and POST /login, POST /logout."""

    @app.get("/login")
    async def show_login() -> HTMLResponse:
        return HTMLResponse(login_page())

    @app.post("/login")
    async def log_in(request: Request, token: Annotated[str, Form()] = "") -> Response:
        if not sessions.knows(token):
            await asyncio.sleep(WRONG_TOKEN_S)
            return HTMLResponse(login_page("That is not the operator token."), 401)
        answer = RedirectResponse("/", 303)
        answer.set_cookie(
            COOKIE,
            sessions.begin(),
            max_age=int(3600 * sessions.hours),
            httponly=True,
            samesite="strict",
            secure=request.url.scheme == "https",
        )
        return answer

    @app.post("/logout")
    async def log_out() -> Response:
        answer = RedirectResponse("/login", 303)
        answer.delete_cookie(COOKIE)
        return answer
