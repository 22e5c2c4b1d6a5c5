import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.inference.domain.sentinel import (
    PROMPTS,
    Known,
    answers_for,
    compared,
    distance,
    probed,
    rank_sum,
    wanting,
)

text = st.text("abc ", max_size=12)


def noisy(draw: random.Random, prompt: str) -> str:
    """A model whose answers vary with the same law for ever."""
    return f"{prompt} {draw.randrange(30)}"


def first_alarm(seed: int, run_length: float, probes: int) -> int | None:
    known, draw = Known("m"), random.Random(seed)
    for number in range(probes):
        prompt = wanting(known, PROMPTS[:2], draw.random())
        found = probed(
            known,
            prompt,
            noisy(draw, "hello"),
            "m",
            drawn=draw.random(),
            run_length=run_length,
        )
        if found.changed:
            return number
        known = found.known
    return None


def test_false_alarms_are_as_rare_as_promised() -> None:
    """At an average run length of 1000, at most a fifth of runs end within 200 probes."""
    alarms = [first_alarm(seed, 1000.0, 200) for seed in range(30)]

    assert sum(alarm is not None for alarm in alarms) <= 6


@given(text, text)
def test_the_distance_is_none_to_itself_and_at_most_one(one: str, other: str) -> None:
    assert distance(one, [other, one]) == 0
    assert 0 <= distance(one, [other]) <= 1


def test_the_rank_sum_tells_larger_samples_from_equal_ones() -> None:
    reference = [0.1 * (n % 10) for n in range(40)]

    assert rank_sum(reference, reference) == pytest.approx(0.5, abs=0.02)
    assert rank_sum([2.0] * 20, reference) < 1e-6
    assert rank_sum([0.0] * 20, [0.0] * 40) == 1.0


def test_with_few_answers_known_nothing_can_be_told() -> None:
    assert compared(Known("m"), [("prompt", "answer")] * 40) == 1.0


@pytest.mark.parametrize(
    "model",
    ["gpt-4o", "GPT-4o", "openai/gpt-4o", "gpt-4o-2024-08-06", "gpt-4o@20240806", "gpt-4o-0613"],
)
def test_a_snapshot_answers_for_the_model_that_is_asked_for(model: str) -> None:
    assert answers_for("gpt-4o", model)
    assert answers_for("models/gpt-4o-latest", model)


@pytest.mark.parametrize("model", ["gpt-4o-mini", "gpt-4", "gpt-4o-mini-2024-07-18", "gpt-4o-2"])
def test_another_model_does_not(model: str) -> None:
    assert not answers_for("gpt-4o", model)
