"""Bounded bodies, problem+json, request ids."""

import pytest
from fastapi import FastAPI, Request
from fastapi.testclient import TestClient

from libs.faults import NOT_FOUND, Poison, Retryable
from libs.http.app import make_app


@pytest.fixture
def client() -> TestClient:
    app: FastAPI = make_app("test", max_body_bytes=10)

    @app.post("/echo")
    async def echo(request: Request) -> str:
        return (await request.body()).decode()

    @app.get("/missing")
    async def missing() -> None:
        raise Poison("no such thing", code=NOT_FOUND)

    @app.get("/away")
    async def away() -> None:
        raise Retryable("later")

    @app.get("/bug")
    async def bug() -> None:
        raise ZeroDivisionError("secret")

    return TestClient(app, raise_server_exceptions=False)


def test_a_body_within_the_bound_passes(client: TestClient) -> None:
    assert client.post("/echo", content=b"hello").json() == "hello"


def test_an_announced_body_above_the_bound_is_refused(client: TestClient) -> None:
    assert client.post("/echo", content=b"x" * 11).status_code == 413


def test_a_streamed_body_above_the_bound_is_refused(client: TestClient) -> None:
    answer = client.post("/echo", content=iter([b"xxxxxx", b"xxxxxx"]))

    assert answer.status_code == 413


def test_a_poison_is_a_problem_with_its_code(client: TestClient) -> None:
    answer = client.get("/missing")

    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["code"] == NOT_FOUND


def test_what_may_work_later_says_when_to_come_back(client: TestClient) -> None:
    answer = client.get("/away")

    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")


def test_a_bug_keeps_its_text_to_itself(client: TestClient) -> None:
    answer = client.get("/bug")

    assert answer.status_code == 500
    assert "secret" not in answer.text


def test_every_answer_has_a_request_id(client: TestClient) -> None:
    assert client.get("/missing", headers={"x-request-id": "r1"}).headers["x-request-id"] == "r1"
    assert client.get("/missing").headers["x-request-id"]
