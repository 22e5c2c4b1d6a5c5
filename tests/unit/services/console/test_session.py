"""The login and its session."""

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from starlette.websockets import WebSocket, WebSocketDisconnect

from libs.runtime.clock import ManualClock
from services.console.http.session import COOKIE, Guard, Sessions, add_login

TOKEN = "the-operator-token"


def sessions(clock: ManualClock | None = None, token: str = TOKEN) -> Sessions:
    return Sessions(token, 12.0, clock or ManualClock())


def client(kept: Sessions) -> TestClient:
    app = FastAPI()
    add_login(app, kept)

    @app.get("/")
    async def page() -> str:
        return "secret"

    @app.websocket("/socket")
    async def socket(connection: WebSocket) -> None:
        await connection.accept()
        await connection.close()

    app.add_middleware(Guard, sessions=kept)
    return TestClient(app, follow_redirects=False)


def test_a_page_without_a_session_leads_to_the_login() -> None:
    answer = client(sessions()).get("/", headers={"accept": "text/html"})

    assert (answer.status_code, answer.headers["location"]) == (303, "/login")


def test_the_login_says_where_the_token_is() -> None:
    page = client(sessions()).get("/login").text

    assert "<code>.perennial/credentials.json</code>" in page


def test_anything_else_without_a_session_is_refused() -> None:
    browser = client(sessions())

    assert browser.get("/").status_code == 401
    with pytest.raises(WebSocketDisconnect), browser.websocket_connect("/socket"):
        pass


def test_the_right_token_opens_the_page_and_the_socket() -> None:
    browser = client(sessions())

    answer = browser.post("/login", data={"token": TOKEN})

    assert answer.status_code == 303
    assert "httponly" in answer.headers["set-cookie"].lower()
    assert browser.get("/").text == '"secret"'
    with browser.websocket_connect("/socket"):
        pass


@pytest.mark.parametrize("token", ["", "wrong", TOKEN + "x", "é"])
def test_a_wrong_token_opens_nothing(token: str) -> None:
    browser = client(sessions())

    answer = browser.post("/login", data={"token": token})

    assert answer.status_code == 401
    assert browser.get("/").status_code == 401


def test_a_session_ends() -> None:
    clock = ManualClock()
    kept = sessions(clock)
    session = kept.begin()

    clock.advance(12 * 3600 + 1)

    assert not kept.holds(session)


def test_a_session_survives_a_restart_and_not_a_new_token() -> None:
    session = sessions().begin()

    assert sessions().holds(session)
    assert not sessions(token="another-operator-token").holds(session)


@pytest.mark.parametrize("forged", [None, "", ".", "9999999999.", "9999999999.00", "x.y", "٣.a"])
def test_a_forged_session_is_not_held(forged: str | None) -> None:
    assert not sessions().holds(forged)


def test_logging_out_ends_the_session() -> None:
    browser = client(sessions())
    browser.post("/login", data={"token": TOKEN})

    browser.post("/logout")

    assert browser.cookies.get(COOKIE) is None
    assert browser.get("/").status_code == 401
