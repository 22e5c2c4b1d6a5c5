"""Durable jobs: long work that survives its worker. Knows nothing of what the work is.

    JOBS = add_jobs(METADATA)
    jobs = Jobs(engine, JOBS, SystemClock())
    jobs.submit(run_id, payload)          # in a topic's handler; again = nothing
    job = jobs.claim("host/pid", 30.0)    # or let `libs.sql.worker.JobWorker` do the rest

The life of a job: queued -> running -> completed | failed | cancelled. A worker holds a
running job by a lease that it renews with ``heartbeat``; when the lease runs out the job
can be claimed again, with the next attempt number. Whatever a worker writes is fenced by
(worker, attempt): a worker that lost its lease changes nothing. After ``max_attempts``
lost or failed attempts the job fails with code "exhausted" or the last attempt's code.

Ends and events belong together: ``also(connection, job)`` runs in the transaction that
changes the job, so an `OutboxSink` in it sends if and only if the change happened.
All methods block and raise Retryable while the store is away: call them in a thread.
"""

from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

from libs.runtime.clock import Clock
from libs.sql.engine import insert_once, reader
from libs.sql.job import (
    EXHAUSTED,
    MAX_ATTEMPTS,
    Also,
    Job,
    JobState,
    Lease,
    Outcome,
    Progress,
    add_jobs,
    job_of,
    nothing,
    pack,
)

__all__ = ["Job", "JobState", "Jobs", "Lease", "Outcome", "Progress", "add_jobs"]


class Jobs:
    """One table of jobs."""

    def __init__(self, engine: Engine, table: sa.Table, clock: Clock) -> None:
        self._engine = engine
        self._table = table
        self._clock = clock

    def submit(self, key: str, payload: bytes, *, max_attempts: int = MAX_ATTEMPTS) -> bool:
        """Queue work under an idempotency key; False when the key is known already."""
        now = self._now()
        row = {
            "key": key,
            "payload": payload,
            "state": JobState.QUEUED,
            "attempt": 0,
            "attempts_allowed": max_attempts,
            "worker": "",
            "lease_until": now,
            "cancel_requested": False,
            "progress": {},
            "result": b"",
            "code": "",
            "reason": "",
            "submitted_at": now,
            "changed_at": now,
        }
        with self._engine.begin() as connection:
            return insert_once(connection, self._table, row)

    def get(self, key: str) -> Job | None:
        with reader(self._engine).connect() as connection:
            return self._find(connection, self._table.c.key == key)

    def recent(self, limit: int = 50) -> list[Job]:
        """The newest jobs, newest first."""
        statement = sa.select(self._table).order_by(self._table.c.seq.desc()).limit(limit)
        with reader(self._engine).connect() as connection:
            return [job_of(row) for row in connection.execute(statement)]

    def claim(self, worker: str, lease_s: float, also: Also = nothing) -> Job | None:
        """Take the oldest job that nobody holds; None when there is none.

        Two workers never get the same attempt of one job.
        """
        t = self._table
        with self._engine.begin() as connection:
            open_to_all = sa.and_(self._free(), t.c.attempt < t.c.attempts_allowed)
            job = self._find(connection, open_to_all, lock=True)
            if job is None:
                return None
            held = self._write(
                connection,
                t.c.key == job.key,
                state=JobState.RUNNING,
                attempt=job.attempt + 1,
                worker=worker,
                lease_until=self._now() + lease_s,
            )
            assert held is not None
            also(connection, held)
            return held

    def heartbeat(self, job: Job, lease_s: float, progress: Progress | None = None) -> Lease:
        """Renew the lease and store how far the work is."""
        changes: dict[str, Any] = {"lease_until": self._now() + lease_s}
        if progress is not None:
            changes["progress"] = pack(progress)
        with self._engine.begin() as connection:
            held = self._write(connection, self._held_by(job), **changes)
        if held is None:
            return Lease.LOST
        return Lease.CANCEL if held.cancel_requested else Lease.HELD

    def finish(self, job: Job, outcome: Outcome, also: Also = nothing) -> bool:
        """End a job; False, and no effect at all, when the lease was lost."""
        with self._engine.begin() as connection:
            return self._end(connection, self._held_by(job), outcome, also) is not None

    def retry(self, job: Job, outcome: Outcome, *, after_s: float, also: Also = nothing) -> bool:
        """Give a failed attempt back for another one in ``after_s``; end the job as
        ``outcome`` when no attempt is left. False when the lease was lost."""
        t = self._table
        with self._engine.begin() as connection:
            left = sa.and_(self._held_by(job), t.c.attempt < t.c.attempts_allowed)
            queued = {"state": JobState.QUEUED, "worker": "", "reason": outcome.reason}
            until = self._now() + after_s
            if self._write(connection, left, lease_until=until, **queued) is not None:
                return True
            return self._end(connection, self._held_by(job), outcome, also) is not None

    def release(self, job: Job) -> bool:
        """Give an unfinished job back because this worker stops; it costs no attempt."""
        with self._engine.begin() as connection:
            given = self._write(
                connection,
                self._held_by(job),
                state=JobState.QUEUED,
                worker="",
                lease_until=self._now(),
                attempts_allowed=self._table.c.attempts_allowed + 1,
            )
            return given is not None

    def request_cancel(self, key: str, reason: str = "", also: Also = nothing) -> Job | None:
        """Ask a job to stop. A queued one ends at once (``also`` sees it cancelled), a running
        one when its worker hears of it at a heartbeat. None when the key is unknown."""
        t = self._table
        cancelled = Outcome(JobState.CANCELLED, code="cancelled", reason=reason)
        with self._engine.begin() as connection:
            queued = sa.and_(t.c.key == key, t.c.state == JobState.QUEUED)
            if (ended := self._end(connection, queued, cancelled, also)) is not None:
                return ended
            running = sa.and_(t.c.key == key, t.c.state == JobState.RUNNING)
            self._write(connection, running, cancel_requested=True, reason=reason)
            return self._find(connection, t.c.key == key)

    def give_up(self, also: Also = nothing) -> Job | None:
        """End one job whose last allowed attempt was lost with its worker; None: there is none."""
        t = self._table
        with self._engine.begin() as connection:
            spent = sa.and_(self._free(), t.c.attempt >= t.c.attempts_allowed)
            job = self._find(connection, spent, lock=True)
            if job is None:
                return None
            reason = f"attempt {job.attempt} was lost with its worker {job.worker}"
            outcome = Outcome(JobState.FAILED, code=EXHAUSTED, reason=reason)
            return self._end(connection, t.c.key == job.key, outcome, also)

    def _now(self) -> float:
        return self._clock.now().timestamp()

    def _free(self) -> sa.ColumnElement[bool]:
        t = self._table
        return sa.and_(
            t.c.state.in_([JobState.QUEUED, JobState.RUNNING]), t.c.lease_until <= self._now()
        )

    def _held_by(self, job: Job) -> sa.ColumnElement[bool]:
        t = self._table
        return sa.and_(
            t.c.key == job.key,
            t.c.state == JobState.RUNNING,
            t.c.worker == job.worker,
            t.c.attempt == job.attempt,
        )

    def _find(
        self, connection: Connection, where: sa.ColumnElement[bool], *, lock: bool = False
    ) -> Job | None:
        statement = sa.select(self._table).where(where).order_by(self._table.c.seq).limit(1)
        if lock:  # SQLite has its one writer's lock already
            statement = statement.with_for_update(skip_locked=True)
        row = connection.execute(statement).first()
        return None if row is None else job_of(row)

    def _write(
        self, connection: Connection, where: sa.ColumnElement[bool], **changes: Any
    ) -> Job | None:
        statement = sa.update(self._table).where(where).values(changed_at=self._now(), **changes)
        row = connection.execute(statement.returning(self._table)).first()
        return None if row is None else job_of(row)

    def _end(
        self,
        connection: Connection,
        where: sa.ColumnElement[bool],
        outcome: Outcome,
        also: Also,
    ) -> Job | None:
        job = self._write(
            connection,
            where,
            state=outcome.state,
            worker="",
            result=outcome.result,
            code=outcome.code,
            reason=outcome.reason,
        )
        if job is not None:
            also(connection, job)
        return job
