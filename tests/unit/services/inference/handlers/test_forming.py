"""JSON, or a clear error."""

from collections.abc import AsyncGenerator

import pytest

from libs.faults import Poison
from services.inference.domain.form import form
from services.inference.domain.generation import Delta, Finish, Message
from services.inference.handlers.forming import Pieces, held, repaired

CARD = form({"type": "object", "properties": {"card": {"type": "string"}}, "required": ["card"]})
ASKED = (Message("user", "Which card?"),)


async def pieces(*texts: str, reason: str = "stop") -> AsyncGenerator[Delta | Finish, None]:
    for text in texts:
        yield Delta(text)
    yield Finish(reason, 10, len(texts), -1.0)


async def give(answer: Pieces, given: list[Delta | Finish]) -> None:
    async for piece in answer:
        given.append(piece)  # noqa: PERF401  # what came before an error counts


class Provider:
    """Gives its answers in turn."""

    def __init__(self, *answers: str) -> None:
        self.answers = list(answers)
        self.asked: list[tuple[Message, ...]] = []

    def __call__(self, messages: tuple[Message, ...]) -> AsyncGenerator[Delta | Finish, None]:
        self.asked.append(messages)
        return pieces(self.answers.pop(0))


async def test_an_answer_that_keeps_its_form_streams_as_it_comes() -> None:
    given = [piece async for piece in held(pieces('{"card"', ': "gold"}'), CARD)]

    assert given == [Delta('{"card"'), Delta(': "gold"}'), Finish("stop", 10, 2, -1.0)]


async def test_an_answer_that_is_cut_ends_in_an_error_and_not_in_its_finish() -> None:
    given: list[Delta | Finish] = []

    with pytest.raises(Poison, match="max_tokens") as refusal:
        await give(held(pieces('{"card"', reason="length"), CARD), given)

    assert given == [Delta('{"card"')]
    assert refusal.value.code == "invalid_json_answer"


async def test_a_good_answer_from_abroad_is_asked_for_once() -> None:
    provider = Provider('```json\n{"card": "gold"}\n```')

    given = [piece async for piece in repaired(provider, ASKED, CARD)]

    assert given == [Delta('{"card": "gold"}'), Finish("stop", 10, 1, -1.0)]
    assert provider.asked == [ASKED]


async def test_a_bad_answer_is_asked_for_again_with_what_is_wrong() -> None:
    provider = Provider("Gold, I think.", '{"card": "gold"}')

    given = [piece async for piece in repaired(provider, ASKED, CARD)]

    assert given == [Delta('{"card": "gold"}'), Finish("stop", 20, 2, None)]
    assert provider.asked[1][:2] == (*ASKED, Message("assistant", "Gold, I think."))
    assert "it is not JSON" in provider.asked[1][2].content


async def test_an_open_fence_and_many_blank_lines_are_one_more_bad_answer() -> None:
    provider = Provider("```" + "\n" * 20_000 + "x", '```\n\n{"card": "gold"}\n\n``` ')

    given = [piece async for piece in repaired(provider, ASKED, CARD)]

    assert given == [Delta('{"card": "gold"}'), Finish("stop", 20, 2, None)]


async def test_a_second_bad_answer_is_an_error_and_nothing_was_given_out() -> None:
    given: list[Delta | Finish] = []

    with pytest.raises(Poison) as refusal:
        await give(repaired(Provider("Gold.", '{"card": 7}'), ASKED, CARD), given)

    assert given == []
    assert refusal.value.code == "invalid_json_answer"
