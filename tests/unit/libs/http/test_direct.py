"""The paths that go past the application behave as those that do not."""

from collections.abc import Iterator

import pytest
from fastapi import Request
from fastapi.responses import PlainTextResponse, Response
from fastapi.testclient import TestClient
from starlette.types import Receive, Scope, Send

from libs.faults import NOT_FOUND, Poison, Retryable
from libs.http.app import make_app
from libs.http.direct import Direct


class Broken(Response):
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await super().__call__(scope, receive, send)
        raise Retryable("too late to be told")


async def echo(request: Request) -> Response:
    return PlainTextResponse(await request.body())


async def missing(_: Request) -> Response:
    raise Poison("no such thing", code=NOT_FOUND)


async def bug(_: Request) -> Response:
    raise ZeroDivisionError("secret")


async def broken(_: Request) -> Response:
    return Broken("begun")


PATHS = {"/echo": echo, "/missing": missing, "/bug": bug, "/broken": broken}


@pytest.fixture(params=["direct", "routed"])
def client(request: pytest.FixtureRequest) -> Iterator[TestClient]:
    app = make_app("test", max_body_bytes=10)
    for path, handler in PATHS.items():
        app.add_route(path, handler, methods=["POST"])
    asked = {("POST", path): handler for path, handler in PATHS.items()}
    made = Direct(app, asked, 10) if request.param == "direct" else app
    with TestClient(made, raise_server_exceptions=False) as opened:
        yield opened


def test_a_request_is_answered_and_named(client: TestClient) -> None:
    answer = client.post("/echo", content=b"hello", headers={"x-request-id": "r1"})

    assert (answer.text, answer.headers["x-request-id"]) == ("hello", "r1")
    assert client.post("/echo").headers["x-request-id"]


def test_a_body_above_the_bound_is_refused(client: TestClient) -> None:
    assert client.post("/echo", content=b"x" * 11).status_code == 413
    assert client.post("/echo", content=iter([b"xxxxxx", b"xxxxxx"])).status_code == 413


def test_a_fault_is_a_problem_with_its_code(client: TestClient) -> None:
    answer = client.post("/missing")

    assert (answer.status_code, answer.json()["code"]) == (404, NOT_FOUND)
    assert answer.headers["content-type"] == "application/problem+json"


def test_a_bug_keeps_its_text_to_itself(client: TestClient) -> None:
    answer = client.post("/bug")

    assert answer.status_code == 500
    assert "secret" not in answer.text


def test_an_answer_that_has_begun_is_not_told_a_second_time(client: TestClient) -> None:
    assert client.post("/broken").text in {"begun", ""}


def test_another_method_or_path_is_the_application_s(client: TestClient) -> None:
    assert client.get("/echo").status_code == 405
    assert client.post("/nowhere").status_code == 404
