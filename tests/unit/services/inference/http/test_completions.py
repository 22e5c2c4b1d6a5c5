"""Text completions of the OpenAI door."""

from typing import Any

import openai
import pytest

from tests.unit.services.inference.doors import Doors
from tests.unit.services.inference.fakes import answer_of


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
