"""Embeddings of the OpenAI door."""

from typing import Any

import openai
import pytest

from tests.unit.services.inference.doors import Doors


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
