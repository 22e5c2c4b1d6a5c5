import pytest

from libs.artifacts.memory import MemoryStore
from libs.faults import Poison
from services.evaluation import wire
from services.evaluation.adapters.held_out import ReadHeldOut, choose, read, render
from tests.unit.services.evaluation.fakes import candidate_registered, held_out_parquet, rows

COLUMNS: dict[str, list[object]] = {
    "record_id": ["a", "b", "c"],
    "segment": ["bank", "bank", "python"],
    "prompt": ["one?", "two?", "three?"],
    "answer": ["1", "2", "3"],
    "offset": [1, 2, 3],
}


def test_rows_carry_the_rendered_prompt_and_who_is_answered() -> None:
    store = MemoryStore()
    event = candidate_registered(prompt_template="Q: {{ question }}")
    event.held_out.CopyFrom(store.put(held_out_parquet(COLUMNS), "application/parquet"))
    event.gate.generated_rows = 1

    found = ReadHeldOut(store)(wire.task(event))

    assert [(row.record_id, row.message, row.answer) for row in found] == [
        ("a", "Q: one?", "1"),
        ("b", "Q: two?", "2"),
        ("c", "Q: three?", "3"),
    ]
    assert sorted(row.segment for row in found if row.generated) == ["bank", "python"]


def test_the_same_rows_are_answered_whatever_their_order() -> None:
    many = rows(count=50)

    assert choose(many, 5) == choose(list(reversed(many)), 5)
    assert len(choose(many, 5)) == 5


@pytest.mark.parametrize(
    "columns",
    [
        {**COLUMNS, "answer": ["1", "", "3"]},
        {**COLUMNS, "segment": ["bank", None, "python"]},
        {**COLUMNS, "record_id": ["a", "a", "c"]},
        {**COLUMNS, "prompt": [1, 2, 3]},
        {name: [] for name in COLUMNS},
        {"record_id": ["a"]},
    ],
)
def test_rows_that_cannot_be_scored_are_refused(columns: dict[str, list[object]]) -> None:
    with pytest.raises(Poison) as caught:
        read(held_out_parquet(columns))

    assert caught.value.code == "bad_dataset"


@pytest.mark.parametrize("data", [b"", b"PAR1", b"not parquet at all"])
def test_what_is_no_parquet_is_refused(data: bytes) -> None:
    with pytest.raises(Poison) as caught:
        read(data)

    assert caught.value.code == "bad_dataset"


@pytest.mark.parametrize(
    "template",
    ["{{ question", "{{ question.__class__.__mro__ }}", "{% include 'x' %}", "{{ 1 / 0 }}"],
)
def test_a_template_that_is_broken_or_reaches_out_is_refused(template: str) -> None:
    with pytest.raises(Poison) as caught:
        render(template, ["?"])

    assert caught.value.code == "bad_prompt_template"
