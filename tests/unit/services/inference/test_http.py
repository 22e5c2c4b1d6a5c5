"""The OpenAI door, through the `openai` client and through plain HTTP."""

import json
from collections.abc import AsyncIterator
from typing import Any, Literal

import httpx
import openai
import pydantic
import pytest

from services.inference.domain.release import Prompt, Role, Route
from services.inference.domain.serving import Limits, Serving
from services.inference.ports import EngineFailed
from tests.unit.services.inference.doors import Doors
from tests.unit.services.inference.fakes import (
    CHAMPION,
    CONTEXT_CHARACTERS,
    KEY,
    answer_of,
    eventually,
    release,
    table,
)

MESSAGES: list[Any] = [{"role": "user", "content": "Where is my card?"}]
BEYOND = "x" * (CONTEXT_CHARACTERS + 1)


@pytest.fixture
async def doors() -> AsyncIterator[Doors]:
    async with Doors().open() as opened:
        yield opened


@pytest.fixture
async def client(doors: Doors) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(base_url=doors.url, api_key=KEY, max_retries=0) as made:
        yield made


@pytest.fixture
async def plain(doors: Doors) -> AsyncIterator[httpx.AsyncClient]:
    headers = {"authorization": f"Bearer {KEY}"}
    async with httpx.AsyncClient(base_url=doors.url, headers=headers) as made:
        yield made


async def test_a_completion_is_answered(doors: Doors, client: openai.AsyncOpenAI) -> None:
    raw = await client.chat.completions.with_raw_response.create(
        model="support",
        messages=MESSAGES,
        temperature=0,
        max_tokens=20,
        seed=3,
        stop=["END"],
        user="alice",
        metadata={"episode_id": "episode-1", "shop": "7"},
    )
    answer = raw.parse()

    (event,) = doors.events.served
    assert answer.choices[0].message.content == answer_of()
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage is not None
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (4, 8)
    assert (answer.model, answer.system_fingerprint) == ("support", CHAMPION.digest[:16])
    assert answer.id == event.generation_id == raw.headers["x-perennial-generation-id"]
    assert raw.headers["x-perennial-release"] == CHAMPION.digest
    assert (event.episode_id, event.subject) == ("episode-1", "alice")
    assert dict(event.labels) == {"shop": "7"}
    assert doors.generator.samplings[0].stop == ("END",)


async def test_a_stream_gives_deltas_a_reason_and_the_usage(client: openai.AsyncOpenAI) -> None:
    stream = await client.chat.completions.create(
        model="support", messages=MESSAGES, stream=True, stream_options={"include_usage": True}
    )
    chunks = [chunk async for chunk in stream]

    deltas = [chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices]
    assert "".join(deltas) == answer_of()
    assert chunks[0].choices[0].delta.role == "assistant"
    assert [c.choices[0].finish_reason for c in chunks if c.choices][-1] == "stop"
    assert chunks[-1].choices == []
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.total_tokens == 12
    assert all(chunk.to_dict()["usage"] is None for chunk in chunks[:-1])
    assert len({chunk.id for chunk in chunks}) == 1


async def test_without_being_asked_a_stream_tells_no_usage(client: openai.AsyncOpenAI) -> None:
    stream = await client.chat.completions.create(model="support", messages=MESSAGES, stream=True)

    chunks = [chunk async for chunk in stream]
    assert all("usage" not in chunk.to_dict() and chunk.choices for chunk in chunks)


async def test_a_stream_that_breaks_raises_in_the_client(
    doors: Doors, client: openai.AsyncOpenAI
) -> None:
    doors.generator.failure = EngineFailed("the engine is away", code="engine_down")
    doors.generator.fail_after = 2
    stream = await client.chat.completions.create(model="support", messages=MESSAGES, stream=True)

    with pytest.raises(openai.APIError, match="the engine is away"):
        _ = [chunk async for chunk in stream]

    assert doors.events.served[0].error_code == "engine_down"


async def test_the_models_of_a_key_are_its_application(client: openai.AsyncOpenAI) -> None:
    listed = await client.models.list()

    assert [model.id for model in listed.data] == ["support"]
    assert (await client.models.retrieve("support")).id == "support"
    with pytest.raises(openai.NotFoundError):
        await client.models.retrieve("gpt-4")


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


async def test_several_choices_are_generations_of_one_episode_and_one_release(
    doors: Doors, client: openai.AsyncOpenAI
) -> None:
    answer = await client.chat.completions.create(model="support", messages=MESSAGES, n=3, seed=5)

    ids = [(choice.model_extra or {})["generation_id"] for choice in answer.choices]
    assert [choice.index for choice in answer.choices] == [0, 1, 2]
    assert all(choice.message.content == answer_of() for choice in answer.choices)
    assert sorted(ids) == sorted(event.generation_id for event in doors.events.served)
    assert len({event.episode_id for event in doors.events.served}) == 1
    assert sorted(each.seed for each in doors.generator.samplings) == [5, 6, 7]
    assert answer.usage is not None
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (4, 24)


async def test_several_choices_stream_side_by_side(client: openai.AsyncOpenAI) -> None:
    stream = await client.chat.completions.create(
        model="support",
        messages=MESSAGES,
        n=2,
        stream=True,
        stream_options={"include_usage": True},
    )

    texts, ends = {0: "", 1: ""}, {}
    async for chunk in stream:
        for choice in chunk.choices:
            texts[choice.index] += choice.delta.content or ""
            ends[choice.index] = choice.finish_reason
    assert texts == {0: answer_of(), 1: answer_of()}
    assert ends == {0: "stop", 1: "stop"}
    assert chunk.usage is not None
    assert chunk.usage.completion_tokens == 16


async def test_before_the_first_release_a_client_is_asked_to_come_again(
    doors: Doors, client: openai.AsyncOpenAI
) -> None:
    doors.routing.set(table(Route(release("other"), Role.CHAMPION, 1.0)))

    with pytest.raises(openai.InternalServerError) as refusal:
        await client.chat.completions.create(model="support", messages=MESSAGES)

    assert (refusal.value.status_code, refusal.value.code) == (503, "no_release_ready")
    assert refusal.value.response.headers["retry-after"] == "1"


async def test_one_choice_that_fails_cancels_the_others(
    doors: Doors, client: openai.AsyncOpenAI
) -> None:
    doors.generator.failure = EngineFailed("the engine is away", code="engine_down")
    doors.generator.fail_after = 2

    with pytest.raises(openai.InternalServerError):
        await client.chat.completions.create(model="support", messages=MESSAGES, n=3)

    await eventually(lambda: len(doors.events.served) == 3, "an event of every choice")
    assert doors.generator.running == 0


async def test_the_log_probabilities_of_an_answer_are_those_of_its_tokens(
    client: openai.AsyncOpenAI,
) -> None:
    answer = await client.chat.completions.create(
        model="support", messages=MESSAGES, logprobs=True, top_logprobs=0
    )

    logprobs = answer.choices[0].logprobs
    assert logprobs is not None
    assert logprobs.content is not None
    assert "".join(each.token for each in logprobs.content) == answer_of()
    assert [each.logprob for each in logprobs.content] == [-0.5] * 8


async def test_every_parameter_reaches_the_engine(doors: Doors, client: openai.AsyncOpenAI) -> None:
    await client.chat.completions.create(
        model="support",
        messages=MESSAGES,
        frequency_penalty=0.5,
        presence_penalty=-0.5,
        top_p=0.25,
        extra_body={"top_k": 7},
        metadata={"retrieval_score": "0.75", "guard_verdict": "flag", "shop": "7"},
    )

    (wish,), (event,) = doors.generator.samplings, doors.events.served
    assert (wish.frequency_penalty, wish.presence_penalty) == (0.5, -0.5)
    assert (wish.top_p, wish.top_k) == (0.25, 7)
    assert (event.retrieval_score, event.guard_verdict) == (0.75, "flag")
    assert dict(event.labels) == {"shop": "7"}


class CardState(pydantic.BaseModel):
    card: Literal["lost", "stolen"]


async def test_an_answer_is_parsed_into_the_class_that_was_asked_for(
    client: openai.AsyncOpenAI,
) -> None:
    answer = await client.chat.completions.parse(
        model="support", messages=MESSAGES, response_format=CardState
    )

    assert answer.choices[0].message.parsed == CardState(card="lost")


@pytest.mark.parametrize("stream", [False, True])
async def test_json_that_was_cut_is_an_error(client: openai.AsyncOpenAI, stream: bool) -> None:
    async def asked() -> None:
        answer = await client.chat.completions.create(
            model="support",
            messages=MESSAGES,
            max_tokens=2,
            response_format={"type": "json_object"},
            stream=stream,
        )
        if isinstance(answer, openai.AsyncStream):
            _ = [chunk async for chunk in answer]

    with pytest.raises(openai.APIError, match="max_tokens ended it") as refusal:
        await asked()

    assert refusal.value.code == "invalid_json_answer"


async def test_a_schema_that_is_not_taken_is_refused_by_name(client: openai.AsyncOpenAI) -> None:
    schema: Any = {"name": "card", "schema": {"properties": {"a": {"pattern": "(?i)yes"}}}}

    with pytest.raises(openai.BadRequestError, match="/properties/a: pattern") as refusal:
        await client.chat.completions.create(
            model="support",
            messages=MESSAGES,
            response_format={"type": "json_schema", "json_schema": schema},
        )

    assert refusal.value.param == "response_format.json_schema.schema"
    assert refusal.value.code == "unsupported_schema"


async def test_variables_stand_in_for_messages(doors: Doors, client: openai.AsyncOpenAI) -> None:
    prompting = release(
        "champion", prompt_template="Where is {{ thing }}?", prompt=Prompt(3, ("thing",))
    )
    doors.routing.set(table(Route(prompting, Role.CHAMPION, 1.0)))

    await client.chat.completions.create(
        model="support", messages=[], extra_body={"prompt_variables": {"thing": "my card"}}
    )
    with pytest.raises(openai.BadRequestError, match="no such variable") as refusal:
        await client.chat.completions.create(
            model="support", messages=[], extra_body={"prompt_variables": {"thin": "my card"}}
        )

    assert doors.generator.prompts == ["Where is my card?"]
    assert refusal.value.param == "prompt_variables.thin"
    event = doors.events.served[0]
    assert (event.prompt_version, dict(event.variables)) == (3, {"thing": "my card"})


async def test_values_that_the_prompt_fails_with_are_the_callers(
    doors: Doors, client: openai.AsyncOpenAI
) -> None:
    sharing = release(
        "champion", prompt_template="{{ 12 // (parts | int) }}", prompt=Prompt(3, ("parts",))
    )
    doors.routing.set(table(Route(sharing, Role.CHAMPION, 1.0)))

    with pytest.raises(openai.BadRequestError, match="ZeroDivisionError") as refusal:
        await client.chat.completions.create(
            model="support", messages=[], extra_body={"prompt_variables": {"parts": "none"}}
        )

    assert refusal.value.param == "prompt_variables"
    assert doors.events.served[0].error_code == "invalid_value"


async def test_a_completion_continues_a_prompt(doors: Doors, client: openai.AsyncOpenAI) -> None:
    answer = await client.completions.create(
        model="support", prompt="Where is my card?", max_tokens=3, logprobs=0
    )
    stream = await client.completions.create(model="support", prompt="Hi", stream=True)
    chunks = [chunk async for chunk in stream]

    assert (answer.object, answer.choices[0].text) == ("text_completion", answer_of(3))
    assert answer.choices[0].finish_reason == "length"
    assert answer.choices[0].logprobs is not None
    assert answer.choices[0].logprobs.token_logprobs == [-0.5] * 3
    assert answer.choices[0].logprobs.text_offset == [0, 2, 5]
    assert "".join(chunk.choices[0].text for chunk in chunks) == answer_of()
    assert [event.prompt for event in doors.events.served] == ["Where is my card?", "Hi"]


@pytest.mark.parametrize(
    ("parameters", "param"),
    [
        ({"prompt": ["a", "b"]}, "prompt"),
        ({"prompt": ""}, "prompt"),
        ({"prompt": ["a", 5]}, "prompt[1]"),
        ({"echo": True}, "echo"),
        ({"suffix": "x"}, "suffix"),
        ({"best_of": 2}, "best_of"),
        ({"logprobs": 2}, "logprobs"),
    ],
)
async def test_what_a_completion_has_not_is_refused_by_name(
    client: openai.AsyncOpenAI, parameters: dict[str, Any], param: str
) -> None:
    wanted: dict[str, Any] = {"model": "support", "prompt": "Hi"} | parameters

    with pytest.raises(openai.BadRequestError) as refusal:
        await client.completions.create(**wanted)

    assert refusal.value.param == param


async def test_texts_are_embedded(client: openai.AsyncOpenAI) -> None:
    packed = await client.embeddings.create(model="support", input=["one two", "three"])
    plain = await client.embeddings.create(
        model="support", input="one two", encoding_format="float"
    )

    assert [row.embedding for row in packed.data] == [[7.0, 0.5, -1.0], [5.0, 0.5, -1.0]]
    assert plain.data[0].embedding == [7.0, 0.5, -1.0]
    assert packed.usage.prompt_tokens == 3


@pytest.mark.parametrize(
    ("parameters", "param"),
    [
        ({"dimensions": 8}, "dimensions"),
        ({"input": [1, 2]}, "input"),
        ({"input": []}, "input"),
        ({"input": ["one", " "]}, "input[1]"),
        ({"input": ["x"] * 300}, "input"),
        ({"input": "x" * 40_000}, "input[0]"),
    ],
)
async def test_an_embedding_that_cannot_be_is_refused_by_name(
    client: openai.AsyncOpenAI, parameters: dict[str, Any], param: str
) -> None:
    wanted: dict[str, Any] = {"model": "support", "input": "Hi"} | parameters

    with pytest.raises(openai.BadRequestError) as refusal:
        await client.embeddings.create(**wanted)

    assert refusal.value.param == param


async def test_an_embedding_model_that_is_away_is_unavailable(
    doors: Doors, client: openai.AsyncOpenAI
) -> None:
    doors.embedder.away = True

    with pytest.raises(openai.InternalServerError) as failure:
        await client.embeddings.create(model="support", input="Hi")

    assert failure.value.status_code == 503


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


async def test_what_fails_before_the_first_token_of_a_stream_is_an_error_status(
    doors: Doors, client: openai.AsyncOpenAI
) -> None:
    doors.generator.failure = EngineFailed("the engine is away", code="engine_down")

    with pytest.raises(openai.InternalServerError) as failure:
        await client.chat.completions.create(model="support", messages=MESSAGES, stream=True)

    assert failure.value.status_code == 503


@pytest.mark.parametrize(
    ("parameters", "param"),
    [
        ({"n": 9}, "n"),
        ({"n": 0}, "n"),
        ({"logprobs": True, "top_logprobs": 2}, "top_logprobs"),
        ({"response_format": {"type": "yaml"}}, "response_format.type"),
        ({"response_format": {"type": "json_schema"}}, "response_format.json_schema"),
        ({"tools": [{"type": "function", "function": {"name": "f"}}]}, "tools"),
        ({"frequency_penalty": 2.5}, "frequency_penalty"),
        ({"presence_penalty": -3}, "presence_penalty"),
        ({"logit_bias": {"50": 100}}, "logit_bias"),
        ({"extra_body": {"top_k": -1}}, "top_k"),
        ({"extra_body": {"best_of": 3}}, "best_of"),
        ({"extra_body": {"best": 3}}, "best"),
        ({"metadata": {"retrieval_score": "high"}}, "metadata.retrieval_score"),
        ({"metadata": {"guard_verdict": "maybe"}}, "metadata.guard_verdict"),
        ({"temperature": 3}, "temperature"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"stop": ["a", "b", "c", "d", "e"]}, "stop"),
        ({"stream_options": {"include_usage": True}}, "stream_options"),
        (
            {"stream": True, "stream_options": {"include_obfuscation": True}},
            "stream_options.include_obfuscation",
        ),
        ({"stream": True, "stream_options": {"often": 1}}, "stream_options.often"),
        ({"safety_identifier": "x" * 129}, "safety_identifier"),
        ({"service_tier": "scale"}, "service_tier"),
        ({"store": True}, "store"),
        ({"verbosity": "low"}, "verbosity"),
        ({"messages": [{"role": "user", "content": "Hi", "name": "ann"}]}, "messages[0].name"),
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "messages[0].role"),
        ({"messages": [{"role": "user", "content": "x" * 70_000}]}, "messages"),
        ({"messages": MESSAGES * 65}, "messages"),
        ({"messages": [{"role": "user", "content": ""}]}, "messages"),
    ],
)
async def test_what_is_not_supported_is_refused_by_name(
    client: openai.AsyncOpenAI, parameters: dict[str, Any], param: str
) -> None:
    wanted: dict[str, Any] = {"model": "support", "messages": MESSAGES} | parameters

    with pytest.raises(openai.BadRequestError) as refusal:
        await client.chat.completions.create(**wanted)

    assert refusal.value.param == param


async def test_parameters_that_ask_for_nothing_are_taken(client: openai.AsyncOpenAI) -> None:
    answer = await client.chat.completions.create(
        model="support",
        messages=[
            {"role": "developer", "content": "Be brief."},
            {"role": "user", "content": [{"type": "text", "text": "Hi"}]},
        ],
        n=1,
        logprobs=False,
        response_format={"type": "text"},
        presence_penalty=0,
        max_completion_tokens=3,
        store=False,
        parallel_tool_calls=False,
        tool_choice="none",
        verbosity="medium",
        service_tier="auto",
        prompt_cache_key="of-the-application",
        extra_body={"logit_bias": {}, "tools": None},
    )

    assert answer.choices[0].finish_reason == "length"


@pytest.mark.parametrize(
    ("parameters", "priority"),
    [
        ({"service_tier": "priority"}, "high"),
        ({"service_tier": "flex"}, "low"),
        ({"service_tier": "default"}, None),
        ({"service_tier": "flex", "metadata": {"priority": "high"}}, "high"),
    ],
)
async def test_a_service_tier_is_a_priority_where_the_metadata_name_none(
    doors: Doors, client: openai.AsyncOpenAI, parameters: dict[str, Any], priority: str | None
) -> None:
    await client.chat.completions.create(model="support", messages=MESSAGES, **parameters)

    assert doors.events.served[0].labels.get("priority") == priority


async def test_who_asks_is_the_user_or_the_safety_identifier(
    doors: Doors, client: openai.AsyncOpenAI
) -> None:
    for user in (openai.omit, "bob"):
        await client.chat.completions.create(
            model="support", messages=MESSAGES, safety_identifier="ann", user=user
        )

    assert [event.subject for event in doors.events.served] == ["ann", "bob"]


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


@pytest.mark.parametrize(
    ("path", "body", "param"),
    [
        ("/chat/completions", {"messages": [{"role": "user", "content": BEYOND}]}, "messages"),
        ("/completions", {"prompt": BEYOND}, "prompt"),
        ("/completions", {"prompt": BEYOND, "stream": True}, "prompt"),
    ],
)
async def test_a_prompt_beyond_the_engines_context_has_the_code_of_openai(
    plain: httpx.AsyncClient, path: str, body: dict[str, Any], param: str
) -> None:
    answer = await plain.post(path, json={"model": "support", **body})

    error = answer.json()["error"]
    assert answer.status_code == 400
    assert (error["code"], error["type"]) == ("context_length_exceeded", "invalid_request_error")
    assert error["param"] == param


async def test_what_the_prompt_renders_beyond_its_bound_exceeds_the_context(
    doors: Doors, client: openai.AsyncOpenAI
) -> None:
    wordy = release(
        "champion", prompt_template="{{ thing }}", prompt=Prompt(3, ("thing",), max_characters=9)
    )
    doors.routing.set(table(Route(wordy, Role.CHAMPION, 1.0)))

    with pytest.raises(openai.BadRequestError, match="more than 9 characters") as refusal:
        await client.chat.completions.create(
            model="support", messages=[], extra_body={"prompt_variables": {"thing": "x" * 10}}
        )

    assert refusal.value.code == "context_length_exceeded"


async def test_an_application_that_is_not_loaded_is_unavailable(
    doors: Doors, plain: httpx.AsyncClient
) -> None:
    doors.loaded.mark(CHAMPION.engine.digest, ready=False)

    answer = await plain.post("/chat/completions", json={"model": "support", "messages": MESSAGES})

    assert answer.status_code == 503


async def test_a_client_that_leaves_frees_the_engine(
    doors: Doors, plain: httpx.AsyncClient
) -> None:
    doors.generator.delay_s = 0.2
    body = {"model": "support", "messages": MESSAGES}

    with pytest.raises(httpx.ReadTimeout):
        await plain.post("/chat/completions", json=body, timeout=0.3)

    await eventually(lambda: len(doors.events.served) == 1, "the event of the cancelled answer")
    assert doors.events.served[0].finish_reason == "cancelled"
    assert doors.generator.running == 0


async def test_a_client_that_leaves_a_stream_frees_the_engine(
    doors: Doors, plain: httpx.AsyncClient
) -> None:
    doors.generator.delay_s = 0.2
    body = {"model": "support", "messages": MESSAGES, "stream": True}

    async with plain.stream("POST", "/chat/completions", json=body) as answer:
        await anext(answer.aiter_bytes())

    await eventually(lambda: len(doors.events.served) == 1, "the event of the cancelled answer")
    assert doors.events.served[0].finish_reason == "cancelled"
    assert doors.generator.running == 0


async def test_a_stream_ends_with_done(plain: httpx.AsyncClient) -> None:
    body = {"model": "support", "messages": MESSAGES, "stream": True}

    answer = await plain.post("/chat/completions", json=body)

    lines = [line for line in answer.text.split("\n\n") if line]
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert lines[-1] == "data: [DONE]"
    assert all(json.loads(line.removeprefix("data: ")) for line in lines[:-1])
