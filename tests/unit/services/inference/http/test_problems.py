"""Errors of the OpenAI door: keys, bodies, and what cannot be answered now."""

from collections.abc import AsyncIterator

import httpx
import openai
import pytest

from services.inference.domain.release import Role, Route
from services.inference.domain.serving import Limits, Serving
from tests.unit.services.inference.doors import MESSAGES, Doors
from tests.unit.services.inference.fakes import CHAMPION, release, table


async def test_a_foreign_model_is_not_found(client: openai.AsyncOpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as refusal:
        await client.chat.completions.create(model="gpt-4", messages=MESSAGES)

    assert refusal.value.code == "model_not_found"


async def test_a_wrong_key_is_refused(doors: Doors) -> None:
    async with openai.AsyncOpenAI(base_url=doors.url, api_key="wrong", max_retries=0) as client:
        with pytest.raises(openai.AuthenticationError):
            await client.chat.completions.create(model="support", messages=MESSAGES)


async def test_no_key_is_refused(doors: Doors) -> None:
    async with httpx.AsyncClient() as client:
        answer = await client.post(f"{doors.url}/chat/completions", json={})

    assert answer.status_code == 401


async def test_before_the_first_release_a_client_is_asked_to_come_again(
    doors: Doors, client: openai.AsyncOpenAI
) -> None:
    doors.routing.set(table(Route(release("other"), Role.CHAMPION, 1.0)))

    with pytest.raises(openai.InternalServerError) as refusal:
        await client.chat.completions.create(model="support", messages=MESSAGES)

    assert (refusal.value.status_code, refusal.value.code) == (503, "no_release_ready")
    assert refusal.value.response.headers["retry-after"] == "1"


async def test_a_wrong_key_is_told_from_none(doors: Doors) -> None:
    async with httpx.AsyncClient(base_url=doors.url) as client:
        said = [
            (await client.get("/models", headers=headers)).json()["error"]["message"]
            for headers in ({}, {"authorization": "Bearer wrong"})
        ]

    assert said[0].startswith("send an application's key")
    assert said[1].startswith("no application has this key")


@pytest.mark.parametrize(
    ("method", "path", "headers", "status", "code"),
    [
        ("GET", "/nothing", {}, 404, "unknown_url"),
        ("GET", "/chat/completions", {}, 405, "method_not_allowed"),
        (
            "POST",
            "/chat/completions",
            {"content-type": "text/plain"},
            415,
            "unsupported_media_type",
        ),
        (
            "POST",
            "/chat/completions",
            {"content-type": "application/json", "content-encoding": "gzip"},
            415,
            "unsupported_media_type",
        ),
        ("POST", "/chat/completions", {"authorization": "Bearer no"}, 401, "unauthenticated"),
    ],
)
async def test_every_error_has_the_format_of_openai(
    plain: httpx.AsyncClient,
    method: str,
    path: str,
    headers: dict[str, str],
    status: int,
    code: str,
) -> None:
    answer = await plain.request(method, path, headers=headers, content=b"{}")

    error = answer.json()["error"]
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/json"
    assert (error["code"], set(error)) == (code, {"message", "type", "param", "code"})


async def test_a_body_that_announces_too_much_is_an_error_of_openai(
    plain: httpx.AsyncClient,
) -> None:
    answer = await plain.post("/chat/completions", content=b"x" * 2_000_000)

    assert answer.status_code == 413
    assert answer.json()["error"]["code"] == "body_too_large"


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"{", 400),
        (b"[]", 400),
        (b"null", 400),
        (b'{"model": 7, "messages": "hi"}', 400),
        (b'{"model":"support","messages":[{"role":"user","content":"\\ud800"}]}', 400),
        (b'{"a":' * 100_000, 400),
        (b'"' + b"x" * 2_000_000 + b'"', 413),
        (b"\xff\xfe", 400),
        (b'{"model":"support","temperature":NaN,"messages":[{"role":"user","content":"x"}]}', 400),
    ],
)
async def test_a_body_that_is_no_request_is_refused(
    plain: httpx.AsyncClient, body: bytes, status: int
) -> None:
    answer = await plain.post("/chat/completions", content=body)

    assert answer.status_code == status
    assert (await plain.get("/models")).status_code == 200


async def test_a_body_that_grows_too_long_while_it_is_sent_is_refused(
    plain: httpx.AsyncClient,
) -> None:
    async def endless() -> AsyncIterator[bytes]:
        for _ in range(40):
            yield b"x" * 65_536

    answer = await plain.post("/chat/completions", content=endless())

    assert answer.status_code == 413
    assert answer.json()["error"]["code"] == "body_too_large"


async def test_too_many_requests_are_told_when_to_come_again(
    doors: Doors, plain: httpx.AsyncClient
) -> None:
    doors.admission.most = 0
    doors.routing.set(table(serving=Serving(Limits(queue=0))))

    answer = await plain.post("/chat/completions", json={"model": "support", "messages": MESSAGES})

    assert (answer.status_code, answer.headers["retry-after"]) == (429, "1")
    assert answer.json()["error"]["type"] == "rate_limit_error"


async def test_an_application_that_is_not_loaded_is_unavailable(
    doors: Doors, plain: httpx.AsyncClient
) -> None:
    doors.loaded.mark(CHAMPION.engine.digest, ready=False)

    answer = await plain.post("/chat/completions", json={"model": "support", "messages": MESSAGES})

    assert answer.status_code == 503
