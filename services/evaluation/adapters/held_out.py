"""Held-out rows from Parquet, in the application's prompt template."""

import hashlib
import io
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

import pyarrow
import pyarrow.parquet as parquet
from jinja2.sandbox import ImmutableSandboxedEnvironment

from libs.artifacts.store import ArtifactStore
from libs.faults import Poison
from services.evaluation import wire
from services.evaluation.domain.task import Row, Task

COLUMNS: Final = ("record_id", "segment", "prompt", "answer")
MAX_BYTES: Final = 512 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class ReadHeldOut:
    store: ArtifactStore

    def __call__(self, task: Task) -> list[Row]:
        table = read(self.store.get(wire.artifact(task.held_out), MAX_BYTES))
        rendered = render(task.prompt_template, [row["prompt"] for row in table])
        rows = [
            Row(row["record_id"], row["segment"], message, row["answer"], generated=False)
            for row, message in zip(table, rendered, strict=True)
        ]
        chosen = choose(rows, task.generated_rows)
        return [replace(row, generated=row.record_id in chosen) for row in rows]


def read(data: bytes) -> list[dict[str, str]]:
    """The rows' text columns, in file order.

    Raises:
        Poison: ``bad_dataset`` when they are missing, empty, not text, or told twice.
    """
    try:
        table = parquet.read_table(io.BytesIO(data), columns=list(COLUMNS))
    except (pyarrow.ArrowException, ValueError, OSError) as error:
        raise Poison(f"held-out rows: {error}", code="bad_dataset") from error
    missing = set(COLUMNS) - set(table.column_names)
    if missing or not table.num_rows:
        lack = f"columns {', '.join(sorted(missing))}" if missing else "rows"
        raise Poison(f"held-out rows: no {lack}", code="bad_dataset")
    rows: list[dict[str, str]] = table.to_pylist()
    for number, row in enumerate(rows):
        if not all(isinstance(value, str) for value in row.values()) or not row["answer"].strip():
            raise Poison(f"held-out row {number} lacks an answer or text", code="bad_dataset")
    if len({row["record_id"] for row in rows}) != len(rows):
        raise Poison("two held-out rows have one record_id", code="bad_dataset")
    return rows


def render(template: str, questions: Sequence[str]) -> list[str]:
    """Each question in the template; no template is the question itself.

    Raises:
        Poison: ``bad_prompt_template``.
    """
    if not template:
        return list(questions)
    try:
        compiled = ImmutableSandboxedEnvironment().from_string(template)
        return [compiled.render(question=question) for question in questions]
    except Exception as error:  # a template is a program: 1 / 0 is an error of its author
        raise Poison(f"prompt template: {error}", code="bad_prompt_template") from error


def choose(rows: Iterable[Row], per_segment: int) -> set[str]:
    """Record ids of up to ``per_segment`` rows of each segment: the same ones every time,
    whatever their order in the file."""
    segments: dict[str, list[str]] = defaultdict(list)
    for row in rows:
        segments[row.segment].append(row.record_id)
    return {
        record_id
        for ids in segments.values()
        for record_id in sorted(ids, key=lambda each: hashlib.sha256(each.encode()).digest())[
            :per_segment
        ]
    }
