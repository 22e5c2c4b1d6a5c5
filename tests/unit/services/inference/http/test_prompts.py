"""Prompts with variables, and prompts that are too long, at the OpenAI door."""

from typing import Any

import httpx
import openai
import pytest

from services.inference.domain.release import Prompt, Role, Route
from tests.unit.services.inference.doors import Doors
from tests.unit.services.inference.fakes import CONTEXT_CHARACTERS, release, table

BEYOND = "x" * (CONTEXT_CHARACTERS + 1)


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
