"""A job as a value, and the table that keeps it. `libs.sql.jobs` says how jobs live."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from libs.sql.engine import SEQUENCE

MAX_ATTEMPTS: Final = 3
EXHAUSTED: Final = "exhausted"


class JobState(StrEnum):
    QUEUED = "queued"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def ended(self) -> bool:
        return self in {JobState.COMPLETED, JobState.FAILED, JobState.CANCELLED}


class Lease(StrEnum):
    """What a heartbeat learns."""

    HELD = "held"
    CANCEL = "cancel"  # held, and somebody asks to stop: end it as cancelled
    LOST = "lost"  # somebody else's now: stop, write nothing


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a running job is; ``figures`` are named numbers such as a loss."""

    step: int = 0
    total: int = 0
    figures: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Job:
    key: str
    payload: bytes
    state: JobState
    attempt: int  # 0 before the first claim
    worker: str  # who holds it; "" when nobody does
    cancel_requested: bool
    progress: Progress
    result: bytes
    code: str  # of a failure
    reason: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a job ended."""

    state: JobState
    result: bytes = b""
    code: str = ""
    reason: str = ""


Also = Callable[[Connection, Job], None]


def nothing(_connection: Connection, _job: Job) -> None:
    """No further effect."""


def columns_v1() -> list[sa.Column[Any]]:
    """The jobs' columns, for ``add_jobs`` and for ``op.create_table`` in a migration."""
    return [
        sa.Column("seq", SEQUENCE, primary_key=True, autoincrement=True),
        sa.Column("key", sa.String(255), nullable=False, unique=True),
        sa.Column("payload", sa.LargeBinary, nullable=False),
        sa.Column("state", sa.String(16), nullable=False, index=True),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("attempts_allowed", sa.Integer, nullable=False),
        sa.Column("worker", sa.String(255), nullable=False),
        sa.Column("lease_until", sa.Float, nullable=False),  # seconds since 1970; claimable from
        sa.Column("cancel_requested", sa.Boolean, nullable=False),
        sa.Column("progress", sa.JSON, nullable=False),
        sa.Column("result", sa.LargeBinary, nullable=False),
        sa.Column("code", sa.String(64), nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("submitted_at", sa.Float, nullable=False),
        sa.Column("changed_at", sa.Float, nullable=False),
    ]


def add_jobs(metadata: sa.MetaData, name: str = "jobs") -> sa.Table:
    return sa.Table(name, metadata, *columns_v1(), sqlite_autoincrement=True)


def pack(progress: Progress) -> dict[str, Any]:
    return {"step": progress.step, "total": progress.total, "figures": dict(progress.figures)}


def job_of(row: Row[Any]) -> Job:
    return Job(
        key=row.key,
        payload=row.payload,
        state=JobState(row.state),
        attempt=row.attempt,
        worker=row.worker,
        cancel_requested=row.cancel_requested,
        progress=Progress(**row.progress),
        result=row.result,
        code=row.code,
        reason=row.reason,
    )
