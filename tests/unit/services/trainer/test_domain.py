from dataclasses import replace

import pytest

from services.trainer.domain.engine import EngineKey
from services.trainer.domain.run import Recipe, failure_code, objection

KEY = EngineKey("openvino-genai", "2026.4.1.0", "q8_0", "cpu", "a" * 64)


def test_the_default_recipe_has_no_objection() -> None:
    assert objection(Recipe()) is None


@pytest.mark.parametrize(
    ("name", "value"),
    [("lora_rank", 0), ("learning_rate", float("nan")), ("learning_rate", 2.0), ("epochs", 10_000)],
)
def test_a_value_out_of_bounds_is_named(name: str, value: float) -> None:
    reason = objection(replace(Recipe(), **{name: value}))  # type: ignore[arg-type]

    assert reason is not None
    assert name in reason


@pytest.mark.parametrize("name", ["runtime", "runtime_version", "precision", "hardware"])
def test_every_part_of_the_key_makes_another_engine(name: str) -> None:
    other = replace(KEY, **{name: "another"})

    assert other.digest() != KEY.digest()
    assert replace(KEY).digest() == KEY.digest()


@pytest.mark.parametrize(
    ("ended_with", "announced"),
    [
        ("cancelled", "cancelled"),
        ("bad_dataset", "bad_dataset"),
        ("exhausted", "crashed"),
        ("diverged", "crashed"),
    ],
)
def test_an_end_is_announced_by_a_code_of_the_contract(ended_with: str, announced: str) -> None:
    assert failure_code(ended_with) == announced
