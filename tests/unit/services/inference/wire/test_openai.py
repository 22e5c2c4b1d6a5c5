"""What is wrong with a request, told by the name and in the codes of OpenAI's API."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from pydantic import ValidationError

from services.inference.wire import embeddings, openai
from services.inference.wire.ask import BadParameter

HI = {"role": "user", "content": "Hi"}
TEXT = {"type": "text", "text": "What is this?"}
IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}
HUGE = 10**400


def refused(read: Callable[[bytes], object], body: dict[str, Any]) -> BadParameter:
    with pytest.raises(BadParameter) as refusal:
        read(json.dumps({"model": "support", **body}).encode())
    return refusal.value


def content(*parts: object) -> dict[str, Any]:
    return {"messages": [HI, {"role": "user", "content": list(parts)}]}


@pytest.mark.parametrize(
    ("body", "param", "code"),
    [
        (content(TEXT, IMAGE), "messages[1].content[1].type", "invalid_value"),
        (content(TEXT, {"type": 7}), "messages[1].content[1].type", "invalid_type"),
        (content(TEXT, {}), "messages[1].content[1].type", "missing_required_parameter"),
        (content({"type": "text"}), "messages[1].content[0].text", "missing_required_parameter"),
        (content({"type": "text", "text": 5}), "messages[1].content[0].text", "invalid_type"),
        (
            content(TEXT | {"cache_control": {"type": "ephemeral"}}),
            "messages[1].content[0].cache_control",
            "unsupported_parameter",
        ),
        (content("Hi"), "messages[1].content[0]", "invalid_type"),
        ({"messages": [{"role": "user", "content": 5}]}, "messages[0].content", "invalid_type"),
        (
            {"messages": [HI, {"role": "user"}]},
            "messages[1].content",
            "missing_required_parameter",
        ),
        ({"messages": [HI, {"content": "Hi"}]}, "messages[1].role", "missing_required_parameter"),
        ({"messages": [HI, {"role": "pilot"}]}, "messages[1].role", "invalid_value"),
        ({"messages": [HI, 5]}, "messages[1]", "invalid_type"),
        ({"messages": "Hi"}, "messages", "invalid_type"),
        ({"stop": 5}, "stop", "invalid_type"),
        ({"stop": ["a", 5]}, "stop[1]", "invalid_type"),
        ({"metadata": {"stop": 5}}, "metadata.stop", "invalid_type"),
        ({"metadata": {"a": "x" * 600}}, "metadata.a", "too_long"),
        ({"metadata": {"episode_id": "x" * 200}}, "metadata.episode_id", "too_long"),
        ({"max_completion_tokens": 0}, "max_completion_tokens", "invalid_value"),
        ({"max_tokens": HUGE}, "max_tokens", "invalid_value"),
        ({"seed": -HUGE}, "seed", "invalid_value"),
        ({"temperature": float("nan")}, "temperature", "invalid_value"),
        ({"response_format": {"type": "text", "x": 1}}, "response_format.x", "unknown_parameter"),
        (
            {"messages": [{"role": "user", "content": "x" * 70_000}]},
            "messages",
            "context_length_exceeded",
        ),
    ],
)
def test_a_chat_is_refused_by_the_place_of_what_is_wrong(
    body: dict[str, Any], param: str, code: str
) -> None:
    refusal = refused(openai.chat, {"messages": [HI]} | body)

    assert (refusal.param, refusal.code) == (param, code)
    assert str(refusal).startswith(f"{param}: ")


@pytest.mark.parametrize(
    ("body", "param", "code"),
    [
        ({"prompt": " "}, "prompt", "invalid_value"),
        ({"prompt": None}, "prompt", "invalid_type"),
        ({"prompt": [[1, 2]]}, "prompt[0]", "invalid_type"),
        ({"prompt": "x" * 70_000}, "prompt", "context_length_exceeded"),
        ({"prompt": "Hi", "messages": [HI]}, "messages", "unknown_parameter"),
    ],
)
def test_a_completion_is_refused_in_its_own_words(
    body: dict[str, Any], param: str, code: str
) -> None:
    refusal = refused(openai.completion, body)

    assert (refusal.param, refusal.code) == (param, code)


@pytest.mark.parametrize(
    ("given", "param", "code"),
    [
        (None, "input", "invalid_type"),
        (["a", None], "input[1]", "invalid_type"),
        ([[1, 2]], "input", "unsupported_parameter"),
    ],
)
def test_an_embedding_is_refused_by_the_text_that_is_none(
    given: object, param: str, code: str
) -> None:
    refusal = refused(embeddings.wanted, {"input": given})

    assert (refusal.param, refusal.code) == (param, code)


def test_a_value_of_several_types_is_told_all_that_it_may_be() -> None:
    refusal = refused(openai.chat, {"messages": [HI], "stop": 5})

    assert refusal.reason == "Input should be a valid string or a valid array"


def test_an_unknown_role_is_told_those_that_are_taken() -> None:
    refusal = refused(openai.chat, {"messages": [{"role": "pilot", "content": "Hi"}]})

    assert refusal.reason == "'pilot' is not one of assistant, developer, system, user"


def test_a_developer_speaks_as_the_system() -> None:
    body = {"model": "support", "messages": [{"role": "developer", "content": "Be brief."}, HI]}

    wanted = openai.chat(json.dumps(body).encode())

    assert [message.role for message in wanted.ask.messages] == ["system", "user"]


def test_a_broken_pattern_is_told_with_its_place_and_what_is_wrong() -> None:
    schema = {"type": "object", "properties": {"iban": {"type": "string", "pattern": "(("}}}
    form = {"type": "json_schema", "json_schema": {"name": "a", "schema": schema}}

    refusal = refused(openai.chat, {"messages": [HI], "response_format": form})

    assert refusal.param == "response_format.json_schema.schema"
    assert "/properties/iban: pattern is no regular expression: missing )" in refusal.reason


@pytest.mark.parametrize(
    "body",
    [
        {"messages": [5] * 1000},
        {"messages": [{"role": "user", "content": [5] * 1000}]},
        {"stop": [5] * 1000},
        {"metadata": {str(number): 5 for number in range(1000)}},
        {"response_format": {"type": "text"} | {str(number): 5 for number in range(1000)}},
    ],
)
def test_of_many_errors_one_is_looked_for(body: dict[str, Any]) -> None:
    refusal = refused(openai.chat, {"messages": [HI]} | body)

    cause = refusal.__cause__
    assert cause is None or isinstance(cause, ValidationError)
    assert cause is None or cause.error_count() < 3
