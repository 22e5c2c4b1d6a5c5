"""What a chat completion may ask for, and what is refused by its name."""

from typing import Any, Literal

import openai
import pydantic
import pytest

from tests.unit.services.inference.doors import MESSAGES, Doors
from tests.unit.services.inference.fakes import answer_of


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
