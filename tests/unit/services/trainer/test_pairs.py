from itertools import chain
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as parquet
import pytest

from services.trainer.adapters.pairs import (
    BadDataset,
    batches,
    read_rows,
    tokenise,
    total_steps,
)


class Letters:
    """One token a letter; every prompt ends with a colon, every answer with zero."""

    def prompt(self, question: str) -> list[int]:
        return [ord(letter) for letter in question + ":"]

    def answer(self, text: str) -> list[int]:
        return [*(ord(letter) for letter in text), 0]


def table(path: Path, **columns: list[str | None]) -> Path:
    parquet.write_table(pa.table(columns), path)
    return path


def test_rows_are_read_in_their_order(tmp_path: Path) -> None:
    path = table(tmp_path / "t.parquet", prompt=["a", "b"], answer=["1", "2"], record_id=["x", "y"])

    assert read_rows(path) == [("a", "1"), ("b", "2")]


def test_a_dataset_nobody_can_train_on_is_bad(tmp_path: Path) -> None:
    bad = [
        table(tmp_path / "empty.parquet", prompt=[], answer=[]),
        table(tmp_path / "columns.parquet", question=["a"], answer=["1"]),
        table(tmp_path / "blank.parquet", prompt=["a"], answer=["  "]),
        table(tmp_path / "null.parquet", prompt=["a", None], answer=["1", "2"]),
    ]
    (tmp_path / "text.parquet").write_text("prompt,answer")
    bad.append(tmp_path / "text.parquet")

    for path in bad:
        with pytest.raises(BadDataset):
            read_rows(path)


def test_the_loss_begins_where_the_answer_begins() -> None:
    pairs, skipped = tokenise([("ab", "c")], Letters(), max_tokens=10)

    assert pairs[0].ids == (97, 98, 58, 99, 0)
    assert pairs[0].answer_from == 3
    assert skipped == 0


def test_longer_pairs_are_left_out_and_counted() -> None:
    pairs, skipped = tokenise([("a", "b"), ("a" * 50, "b")], Letters(), max_tokens=10)

    assert (len(pairs), skipped) == (1, 1)
    with pytest.raises(BadDataset):
        tokenise([("a" * 50, "b")], Letters(), max_tokens=10)


def test_an_epoch_takes_every_row_once_and_repeats_exactly() -> None:
    lengths = [(row * 37) % 91 + 5 for row in range(203)]

    first = batches(lengths, 8, seed=3, epoch=0)

    assert sorted(chain.from_iterable(first)) == list(range(203))
    assert len(first) == total_steps(203, 8, epochs=1)
    assert first == batches(lengths, 8, seed=3, epoch=0)
    assert first != batches(lengths, 8, seed=4, epoch=0)
    assert first != batches(lengths, 8, seed=3, epoch=1)


def test_the_rows_of_a_batch_are_of_like_length() -> None:
    lengths = [(row * 37) % 91 + 5 for row in range(256)]

    spread = [
        max(lengths[row] for row in batch) - min(lengths[row] for row in batch)
        for batch in batches(lengths, 8, seed=0, epoch=0)
    ]

    assert max(spread) < 20
