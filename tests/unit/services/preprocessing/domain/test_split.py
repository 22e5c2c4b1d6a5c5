"""The split."""

from services.preprocessing.domain.rows import Entry, Kind, Side, Source
from services.preprocessing.domain.split import side_of


def entry(number: int, group: str = "", kind: Kind = Kind.EXAMPLE, answer: str = "x") -> Entry:
    contents = {"prompt": f"Question {number}?", "answer": answer}
    return Entry(f"r{number}", "bank", kind, contents, Source("t", 0, 0, "e"), group=group)


def test_a_quarter_is_held_out() -> None:
    sides = [side_of(entry(number)) for number in range(20_000)]

    assert 0.24 < sides.count(Side.HELD_OUT) / 20_000 < 0.26


def test_a_group_falls_on_one_side() -> None:
    for group in map(str, range(50)):
        assert len({side_of(entry(number, group)) for number in range(20)}) == 1


def test_without_a_group_a_question_falls_on_one_side() -> None:
    for number in range(50):
        assert len({side_of(entry(number, answer=str(answer))) for answer in range(20)}) == 1


def test_evaluation_cases_are_held_out() -> None:
    sides = {side_of(entry(number, kind=Kind.EVALUATION_CASE)) for number in range(100)}

    assert sides == {Side.HELD_OUT}


def test_the_side_of_a_group_never_changes_between_versions_of_the_code() -> None:
    held_out = [n for n in range(20) if side_of(entry(n, f"g{n}")) is Side.HELD_OUT]

    assert held_out == GOLDEN_GROUPS


GOLDEN_GROUPS = [1, 11, 19]
