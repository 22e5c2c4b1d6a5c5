"""What every `Generator` does. The fake and the Triton one are held to it."""

from collections.abc import Callable
from contextlib import aclosing
from dataclasses import dataclass

import pytest

from libs.faults import Poison
from services.inference.domain.generation import Delta, Finish, Sampling
from services.inference.ports import EngineFailed, Generator

PROMPT = "Say something about cards."
UNKNOWN = "0" * 64


@dataclass
class Subject:
    """A generator with one engine loaded."""

    generator: Generator
    digest: str
    slow: Callable[[], None]
    """From now on an answer takes longer than a tenth of a second."""
    too_long: str = "card " * 20_000


def sampling(max_tokens: int = 8) -> Sampling:
    return Sampling(max_tokens, temperature=0.0, top_p=1.0, seed=7)


async def collect(
    subject: Subject, prompt: str = PROMPT, max_tokens: int = 8, timeout_s: float = 30.0
) -> list[Delta | Finish]:
    pieces = subject.generator.generate(subject.digest, prompt, sampling(max_tokens), timeout_s)
    return [piece async for piece in pieces]


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

        assert refusal.value.code == "refused_by_engine"

    async def test_an_answer_that_takes_too_long_is_given_up(self, subject: Subject) -> None:
        subject.slow()

        with pytest.raises(EngineFailed) as failure:
            await collect(subject, timeout_s=0.1)

        assert failure.value.code == "deadline"
