"""What evaluation asks of the outside."""

from collections.abc import Callable, Sequence
from typing import Protocol

from services.evaluation.domain.comparison import RowScore
from services.evaluation.domain.task import File, Model, Row, Task

Tell = Callable[[int, int], None]
"""Say how far a scoring is: (rows done, rows in all)."""


class Submit(Protocol):
    """Queue a durable job; False when the key is known already."""

    def __call__(self, key: str, payload: bytes) -> bool: ...


class HeldOut(Protocol):
    """The held-out rows of a task.

    Raises:
        Poison: ``bad_dataset``, ``bad_prompt_template``, or the artifact's own codes.
    """

    def __call__(self, task: Task) -> list[Row]: ...


class Score(Protocol):
    """One model's figures on every row, from the cache where it was asked before.

    Raises:
        Poison: what is wrong with the model or the rows.
        Retryable: a crash, a time-out, a store that is away.
    """

    async def __call__(
        self, model: Model, task: Task, rows: Sequence[Row], tell: Tell
    ) -> list[RowScore]: ...


class Keep(Protocol):
    """Store a report."""

    def __call__(self, report: bytes) -> File: ...
