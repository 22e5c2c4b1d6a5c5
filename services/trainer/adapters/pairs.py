"""Question and answer pairs: from Parquet rows to token ids to batches of like length.

Runs in the model environment; torch-free, so that the order of batches is plain to test.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from libs.artifacts.weights import RefusedFile, check_parquet

WINDOW_BATCHES = 16
"""Pairs are sorted by length inside a shuffled window of this many batches."""


class BadDataset(ValueError):
    """The training rows cannot be trained on, whatever the number of attempts."""


class Tokens(Protocol):
    """How a pair becomes token ids."""

    def prompt(self, question: str) -> list[int]:
        """The rendered chat up to the place where the answer begins."""

    def answer(self, text: str) -> list[int]:
        """The answer and the token that ends it."""


@dataclass(frozen=True, slots=True)
class Pair:
    """One tokenised pair; the loss counts from ``answer_from`` on."""

    ids: tuple[int, ...]
    answer_from: int

    def __len__(self) -> int:
        return len(self.ids)


def read_rows(path: Path) -> list[tuple[str, str]]:
    """``(prompt, answer)`` of every row, in file order.

    Raises:
        BadDataset: not Parquet, without the two columns, or an empty or missing value.
    """
    return list(zip(*(_table(path)[name] for name in ("prompt", "answer")), strict=True))


def read_named_rows(path: Path) -> list[tuple[str, str, str]]:
    """``(record_id, prompt, answer)`` of every row, in file order.

    Raises:
        BadDataset: as ``read_rows``, or a row without an id.
    """
    table = _table(path)
    names = table.get("record_id", [])
    if not all(isinstance(name, str) and name for name in names) or not names:
        raise BadDataset("the file has rows without a record_id")
    return list(zip(names, table["prompt"], table["answer"], strict=True))


def _table(path: Path) -> dict[str, list[str]]:
    import pyarrow.parquet as parquet

    try:
        check_parquet(path)
        table = parquet.read_table(path)
    except (RefusedFile, OSError, ValueError) as error:
        raise BadDataset(f"the file of rows cannot be read: {error}") from error
    missing = {"prompt", "answer"} - set(table.column_names)
    if missing:
        raise BadDataset(f"the file of rows has no column {', '.join(sorted(missing))}")
    if not table.num_rows:
        raise BadDataset("the file of rows has no rows")
    wanted = [name for name in ("record_id", "prompt", "answer") if name in table.column_names]
    found: dict[str, list[str]] = {name: table.column(name).to_pylist() for name in wanted}
    for number, row in enumerate(zip(found["prompt"], found["answer"], strict=True)):
        if not all(isinstance(value, str) and value.strip() for value in row):
            raise BadDataset(f"row {number} has an empty prompt or answer")
    return found


def tokenise(
    rows: Sequence[tuple[str, str]], tokens: Tokens, max_tokens: int
) -> tuple[list[Pair], int]:
    """Pairs of at most ``max_tokens`` ids, and how many rows were longer.

    Raises:
        BadDataset: every row is longer.
    """
    pairs = []
    for question, answer in rows:
        prompt = tokens.prompt(question)
        pairs.append(Pair((*prompt, *tokens.answer(answer)), len(prompt)))
    fitting = [pair for pair in pairs if len(pair) <= max_tokens]
    if not fitting:
        raise BadDataset(f"all {len(pairs)} rows are longer than {max_tokens} tokens")
    return fitting, len(pairs) - len(fitting)


def total_steps(pairs: int, batch_size: int, epochs: int) -> int:
    """Optimiser steps of the whole run; the last batch of an epoch may be short."""
    return -(-pairs // batch_size) * epochs


def batches(lengths: Sequence[int], batch_size: int, seed: int, epoch: int) -> list[list[int]]:
    """Row indices of every batch of one epoch: a function of its arguments alone.

    A resumed run asks again and skips the batches it has done.
    """
    shuffle = random.Random(f"{seed}:{epoch}")  # noqa: S311  # repeatable, not secret
    order = list(range(len(lengths)))
    shuffle.shuffle(order)
    window = WINDOW_BATCHES * batch_size
    found: list[list[int]] = []
    for start in range(0, len(order), window):
        alike = sorted(order[start : start + window], key=lambda row: (lengths[row], row))
        found.extend(alike[at : at + batch_size] for at in range(0, len(alike), batch_size))
    shuffle.shuffle(found)
    return found
