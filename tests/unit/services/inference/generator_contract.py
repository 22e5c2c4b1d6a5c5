"""What every `Generator` does. The fake and the Triton one are held to it."""

import json
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

import pytest

from libs.faults import Poison
from services.inference.domain.generation import Delta, Finish, Form, Sampling
from services.inference.ports import EngineFailed, Generator

PROMPT = "Say something about cards."
UNKNOWN = "0" * 64
SCHEMA = json.dumps(
    {
        "type": "object",
        "properties": {"card": {"enum": ["lost", "stolen"]}},
        "required": ["card"],
        "additionalProperties": False,
    }
)


@dataclass
class Subject:
    """A generator with one engine loaded."""

    generator: Generator
    digest: str
    slow: Callable[[], None]
    """From now on an answer takes longer than a tenth of a second."""
    too_long: str = "card " * 20_000


def sampling(max_tokens: int = 8, **wishes: Any) -> Sampling:
    return Sampling(max_tokens, temperature=0.0, top_p=1.0, seed=7, **wishes)


async def collect(
    subject: Subject,
    prompt: str = PROMPT,
    max_tokens: int = 8,
    timeout_s: float = 30.0,
    **wishes: Any,
) -> list[Delta | Finish]:
    wish = sampling(max_tokens, **wishes)
    pieces = subject.generator.generate(subject.digest, prompt, wish, timeout_s)
    return [piece async for piece in pieces]


def text_of(pieces: list[Delta | Finish]) -> str:
    return "".join(piece.text for piece in pieces if isinstance(piece, Delta))


class GeneratorContract:
    async def test_an_answer_is_deltas_and_then_one_finish(self, subject: Subject) -> None:
        pieces = await collect(subject)

        assert len(pieces) > 1
        assert all(isinstance(piece, Delta) and piece.text for piece in pieces[:-1])
        assert isinstance(pieces[-1], Finish)

    async def test_the_finish_counts_tokens_and_their_log_probability(
        self, subject: Subject
    ) -> None:
        finish = (await collect(subject))[-1]

        assert isinstance(finish, Finish)
        assert finish.prompt_tokens > 0
        assert 0 < finish.completion_tokens <= 8
        assert finish.mean_logprob is not None
        assert finish.mean_logprob <= 0

    async def test_an_answer_that_is_cut_ends_by_length(self, subject: Subject) -> None:
        finish = (await collect(subject, max_tokens=2))[-1]

        assert isinstance(finish, Finish)
        assert (finish.reason, finish.completion_tokens) == ("length", 2)

    async def test_the_tokens_that_are_asked_for_make_up_the_text_and_its_probability(
        self, subject: Subject
    ) -> None:
        pieces = await collect(subject, logprobs=True)

        tokens = [token for piece in pieces if isinstance(piece, Delta) for token in piece.tokens]
        finish = pieces[-1]
        assert isinstance(finish, Finish)
        assert b"".join(token.raw for token in tokens).decode() == text_of(pieces)
        assert sum(token.logprob for token in tokens) == pytest.approx(
            finish.cumulative_logprob, abs=1e-3
        )

    async def test_tokens_that_are_not_asked_for_are_not_given(self, subject: Subject) -> None:
        pieces = await collect(subject)

        assert not any(piece.tokens for piece in pieces if isinstance(piece, Delta))

    async def test_an_answer_with_a_form_keeps_it(self, subject: Subject) -> None:
        pieces = await collect(subject, max_tokens=40, form=Form(SCHEMA))

        assert json.loads(text_of(pieces))["card"] in {"lost", "stolen"}

    async def test_the_same_request_gives_the_same_answer(self, subject: Subject) -> None:
        first = await collect(subject)
        second = await collect(subject)

        assert first == second

    async def test_an_answer_closed_early_leaves_the_engine_usable(self, subject: Subject) -> None:
        pieces = subject.generator.generate(subject.digest, PROMPT, sampling(), 30.0)
        async with aclosing(pieces):
            await anext(pieces)

        assert isinstance((await collect(subject))[-1], Finish)

    async def test_an_unknown_engine_is_down(self, subject: Subject) -> None:
        subject.digest = UNKNOWN

        with pytest.raises(EngineFailed) as failure:
            await collect(subject)

        assert failure.value.code == "engine_down"

    async def test_a_prompt_beyond_the_context_is_refused_for_good(self, subject: Subject) -> None:
        with pytest.raises(Poison) as refusal:
            await collect(subject, prompt=subject.too_long)

        assert (refusal.value.code, refusal.value.param) == ("context_length_exceeded", "messages")

    async def test_an_answer_that_takes_too_long_is_given_up(self, subject: Subject) -> None:
        subject.slow()

        with pytest.raises(EngineFailed) as failure:
            await collect(subject, timeout_s=0.1)

        assert failure.value.code == "deadline"
