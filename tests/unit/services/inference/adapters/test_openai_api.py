"""External providers, good and bad, on a real local socket."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from libs.faults import Poison
from services.inference.adapters import openai_api
from services.inference.adapters.keys import Keys
from services.inference.adapters.openai_api import OpenAiProviders
from services.inference.domain.form import ANY_OBJECT
from services.inference.domain.generation import Delta, Finish, Form, Message, Sampling
from services.inference.domain.release import Provider
from services.inference.ports import EngineFailed
from tests.unit.services.inference import provider as bad
from tests.unit.services.inference.provider import LocalProvider

MESSAGES = [Message("system", "Be short."), Message("user", "Where is my card?")]
WISH = Sampling(max_tokens=16, temperature=0.0, top_p=1.0, seed=7)


@pytest.fixture
async def server() -> AsyncIterator[LocalProvider]:
    async with LocalProvider().open() as opened:
        yield opened


@pytest.fixture
async def providers() -> AsyncIterator[OpenAiProviders]:
    async with openai_api.client() as http:
        yield OpenAiProviders(http, Keys({"outside": "sk-1"}))


async def asked(
    providers: OpenAiProviders, provider: Provider, wish: Sampling = WISH, timeout_s: float = 5.0
) -> list[Delta | Finish]:
    pieces = providers.generate(provider, MESSAGES, wish, timeout_s)
    return [piece async for piece in pieces]


async def failure_of(
    providers: OpenAiProviders, server: LocalProvider, timeout_s: float = 5.0
) -> EngineFailed:
    with pytest.raises(EngineFailed) as failure:
        await asked(providers, server.provider, timeout_s=timeout_s)
    return failure.value


async def test_an_answer_is_deltas_and_a_finish_that_names_the_model_and_counts(
    server: LocalProvider, providers: OpenAiProviders
) -> None:
    *deltas, finish = await asked(providers, server.provider)

    assert deltas == [Delta("Hello"), Delta(" from"), Delta(" outside")]
    assert finish == Finish("stop", 10, 3, None, response_model="small-001")
    (request,) = server.requests
    assert server.keys == ["bearer sk-1"]
    assert (request["model"], request["stream"], request["seed"]) == ("small", True, 7)
    assert request["messages"][0] == {"role": "system", "content": "Be short."}


async def test_half_of_a_surrogate_pair_is_replaced(
    server: LocalProvider, providers: OpenAiProviders
) -> None:
    server.say = lambda _: ["a\ud83d", "b"]

    assert (await asked(providers, server.provider))[:2] == [Delta("a?"), Delta("b")]


async def test_an_answer_that_comes_at_once_is_taken_as_well(
    server: LocalProvider, providers: OpenAiProviders
) -> None:
    server.behave = bad.answers_at_once

    delta, finish = await asked(providers, server.provider)

    assert delta == Delta("Hello from outside")
    assert finish == Finish("stop", 10, 3, None, response_model="small-001")


async def test_a_form_penalties_and_stops_are_passed_on(
    server: LocalProvider, providers: OpenAiProviders
) -> None:
    form = Form('{"type":"object"}')
    wish = Sampling(8, 0.5, 0.9, 1, ("END",), frequency_penalty=0.5, logprobs=True, form=form)

    await asked(providers, server.provider, wish)

    (request,) = server.requests
    assert (request["stop"], request["frequency_penalty"], request["logprobs"]) == (
        ["END"],
        0.5,
        True,
    )
    assert request["response_format"]["json_schema"]["schema"] == {"type": "object"}
    assert "presence_penalty" not in request


async def test_what_a_provider_has_no_word_for_is_not_sent(
    server: LocalProvider, providers: OpenAiProviders
) -> None:
    omit = frozenset({"temperature", "seed", "stream_options"})
    provider = server.named("outside", omit=omit, max_tokens_parameter="max_completion_tokens")

    await asked(providers, provider, Sampling(8, 0.5, 0.9, 1, top_k=5))

    (request,) = server.requests
    assert set(request) == {"model", "messages", "max_completion_tokens", "top_p", "stream"}
    assert request["max_completion_tokens"] == 8


SCHEMA = Form('{"type":"object","required":["card"]}')


@pytest.mark.parametrize(
    ("how", "form", "sent"),
    [
        ("schema", SCHEMA, "json_schema"),
        ("schema", ANY_OBJECT, "json_object"),
        ("object", SCHEMA, "json_object"),
        ("none", SCHEMA, None),
    ],
)
async def test_a_provider_is_asked_for_json_in_its_own_way(
    server: LocalProvider, providers: OpenAiProviders, how: str, form: Form, sent: str | None
) -> None:
    await asked(providers, server.named("outside", json=how), replace(WISH, form=form))

    (request,) = server.requests
    assert request.get("response_format", {}).get("type") == sent
    told = request["messages"][-1]["content"]
    assert (form.schema in told) == (sent != "json_schema")


@pytest.mark.parametrize(
    ("behave", "code"),
    [
        (bad.fails, "engine_down"),
        (bad.closes, "engine_error"),
        (bad.sends_garbage, "engine_error"),
        (bad.sends_deep_garbage, "engine_error"),
        (bad.sends_one_endless_line, "engine_error"),
        (bad.never_ends, "engine_error"),
        (bad.cuts, "engine_error"),
        (bad.cuts_at_once, "engine_error"),
        (bad.reports_an_error, "engine_error"),
    ],
)
async def test_what_is_no_answer_is_a_failure_with_a_code(
    server: LocalProvider, providers: OpenAiProviders, behave: Callable[..., Any], code: str
) -> None:
    server.behave = behave

    failure = await failure_of(providers, server)

    assert failure.code == code
    assert "secret" not in str(failure)


@pytest.mark.parametrize("behave", [bad.hangs, bad.hangs_midway])
async def test_a_provider_that_hangs_is_given_up_in_time(
    server: LocalProvider, providers: OpenAiProviders, behave: Callable[..., Any]
) -> None:
    server.behave = behave

    assert (await failure_of(providers, server, timeout_s=0.05)).code == "deadline"


async def test_a_busy_provider_says_when_to_come_again(
    server: LocalProvider, providers: OpenAiProviders
) -> None:
    server.behave = bad.is_busy

    failure = await failure_of(providers, server)

    assert (failure.code, failure.after_s) == ("engine_busy", 7.0)


async def test_a_refused_request_is_never_tried_again(
    server: LocalProvider, providers: OpenAiProviders
) -> None:
    server.behave = bad.refuses

    with pytest.raises(Poison) as refusal:
        await asked(providers, server.provider)

    assert refusal.value.code == "refused_by_engine"


async def test_a_prompt_beyond_a_providers_context_is_told_as_such(
    server: LocalProvider, providers: OpenAiProviders
) -> None:
    server.behave = bad.refuses_the_length

    with pytest.raises(Poison) as refusal:
        await asked(providers, server.provider)

    assert refusal.value.code == "context_length_exceeded"


async def test_a_provider_that_is_not_there_is_down(providers: OpenAiProviders) -> None:
    nobody = Provider("outside", "http://127.0.0.1:9/v1", "small")

    with pytest.raises(EngineFailed) as failure:
        await asked(providers, nobody)

    assert failure.value.code == "engine_down"


async def test_closing_an_answer_early_frees_its_connection(
    server: LocalProvider, providers: OpenAiProviders
) -> None:
    async with aclosing(providers.generate(server.provider, MESSAGES, WISH, 5.0)) as pieces:
        assert await anext(pieces) == Delta("Hello")

    assert isinstance((await asked(providers, server.provider))[-1], Finish)


async def test_answers_after_each_other_travel_on_one_connection(
    providers: OpenAiProviders,
) -> None:
    connections = []

    async def keep_open(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append(writer)
        while length := re.search(rb"content-length: (\d+)", await head_of(reader), re.I):
            await reader.readexactly(int(length[1]))
            body = bad.piece("m", "Hello", "stop") + bad.event(b"[DONE]")
            kind = b"content-type: text/event-stream\r\ntransfer-encoding: chunked"
            writer.write(b"HTTP/1.1 200 OK\r\n" + kind + b"\r\n\r\n")
            writer.write(b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body))

    async with await asyncio.start_server(keep_open, "127.0.0.1", 0) as open_server:
        port = open_server.sockets[0].getsockname()[1]
        provider = replace(LocalProvider().provider, base_url=f"http://127.0.0.1:{port}/v1")

        for _ in range(3):
            assert (await asked(providers, provider))[0] == Delta("Hello")

        assert len(connections) == 1
        connections[0].close()


async def head_of(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return b""


async def test_a_provider_without_a_key_is_never_called(server: LocalProvider) -> None:
    async with openai_api.client() as http:
        providers = OpenAiProviders(http, Keys({"another": "sk-2"}))
        failure = await failure_of(providers, server)

    assert (failure.code, str(failure)) == ("engine_down", "no key is set for provider outside")
    assert server.requests == []


def test_a_key_in_a_file_is_read_again_when_it_has_changed(tmp_path: Path) -> None:
    now_s = 0.0
    keys = Keys({}, tmp_path, monotonic=lambda: now_s)
    provider = Provider("far-away", "https://example.org/v1", "m")
    (tmp_path / "far-away").write_text("first\n")
    assert keys.of(provider) == "first"

    (tmp_path / "far-away").write_text("second\n")
    now_s = 11.0

    assert keys.of(provider) == "second"


def test_a_key_goes_to_its_address_only() -> None:
    keys = Keys({"far_away": "sk"}, addresses={"far_away": "https://example.org/v1/"})

    assert keys.why_not(Provider("far-away", "https://example.org/v1", "m")) is None
    assert keys.why_not(Provider("far-away", "https://evil.org/v1", "m")) is not None
