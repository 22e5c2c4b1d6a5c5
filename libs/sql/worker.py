"""A worker of durable jobs as a part of a service. What the work is, is given to it.

    async def run(job: Job, report: Report) -> Outcome: ...     # may take hours
    JobWorker(jobs, run, Hooks(ended=tell_in_the_outbox)).part("trainer.worker")

``run`` ends a job by returning an Outcome or raising Poison (failed, with its code);
Retryable means another attempt, and "failed" with code "exhausted" when none is left;
any other exception stops the process, and the lease brings the job back. ``run`` is
cancelled (asyncio) when somebody asked to cancel the job, when the lease was lost and
when the service stops: it must stop its subprocess in a ``finally``, as
`libs.runtime.child.run_child` does. After a stop the job is claimed again and ``run``
finds what its earlier attempts left (checkpoints) by ``job.key``.
"""

import asyncio
import os
import socket
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final

import structlog
from sqlalchemy.engine import Connection

from libs.faults import Poison, Retryable
from libs.runtime.poller import Poller
from libs.sql.job import EXHAUSTED, Job, JobState, Lease, Outcome, Progress, nothing
from libs.sql.jobs import Jobs

log = structlog.get_logger()

RETRY_S: Final = 5.0

Report = Callable[[Progress], None]
"""Say how far the work is; stored with the next heartbeat. Never blocks."""
Run = Callable[[Job, Report], Awaitable[Outcome]]


@dataclass(frozen=True, slots=True)
class Hooks:
    """What else happens in the transaction that starts an attempt, or ends a job."""

    started: Callable[[Connection, Job], None] = nothing
    ended: Callable[[Connection, Job], None] = nothing  # completed, failed or cancelled


@dataclass(frozen=True, slots=True)
class Pace:
    lease_s: float = 30.0
    heartbeat_s: float = 2.0
    poll_s: float = 0.5


class JobWorker:
    """Claims jobs one at a time and keeps their leases."""

    def __init__(self, jobs: Jobs, run: Run, hooks: Hooks = Hooks(), pace: Pace = Pace()) -> None:
        self._jobs = jobs
        self._run = run
        self._hooks = hooks
        self._pace = pace
        self._worker = f"{socket.gethostname()}/{os.getpid()}/{os.urandom(4).hex()}"

    def part(self, name: str) -> Poller:
        return Poller(name, self.step, self._pace.poll_s, "jobs wait")

    async def step(self, stop: asyncio.Event) -> bool:
        """Bury one job that is spent, then work on one; False when there was none.

        Raises:
            Retryable: the store is away.
        """
        if (spent := await asyncio.to_thread(self._jobs.give_up, self._hooks.ended)) is not None:
            log.error("job.exhausted", key=spent.key, reason=spent.reason)
        job = await asyncio.to_thread(
            self._jobs.claim, self._worker, self._pace.lease_s, self._hooks.started
        )
        if job is None:
            return False
        log.info("job.claimed", key=job.key, attempt=job.attempt)
        await self._attempt(job, stop)
        return True

    async def _attempt(self, job: Job, stop: asyncio.Event) -> None:
        latest: deque[Progress] = deque(maxlen=1)
        work = asyncio.ensure_future(self._settled(job, latest.append))
        keeper = asyncio.create_task(self._keep(job, latest))
        stopping = asyncio.create_task(stop.wait())
        try:
            await asyncio.wait({work, keeper, stopping}, return_when=asyncio.FIRST_COMPLETED)
            await _cancel(work)
            if not work.cancelled():
                await self._end(job, work.result())
            elif keeper.done():
                await self._broken_off(job, keeper.result())
            else:
                await asyncio.to_thread(self._jobs.release, job)
                log.info("job.released", key=job.key, attempt=job.attempt)
        finally:
            for task in (work, keeper, stopping):
                await _cancel(task)

    async def _settled(self, job: Job, report: Report) -> Outcome | Retryable:
        """The work's end as a value."""
        try:
            return await self._run(job, report)
        except Poison as error:
            return Outcome(JobState.FAILED, code=error.code, reason=str(error))
        except Retryable as error:
            return error

    async def _broken_off(self, job: Job, lease: Lease) -> None:
        if lease is Lease.CANCEL:
            reason = job.reason or "cancelled on request"
            await self._end(job, Outcome(JobState.CANCELLED, code="cancelled", reason=reason))
        else:
            log.warning("job.lease_lost", key=job.key, attempt=job.attempt)

    async def _end(self, job: Job, outcome: Outcome | Retryable) -> None:
        ended = self._hooks.ended
        if isinstance(outcome, Outcome):
            held = await _stored(lambda: self._jobs.finish(job, outcome, ended))
            log.info("job.ended", key=job.key, state=outcome.state, code=outcome.code, held=held)
            return
        failed = Outcome(JobState.FAILED, code=EXHAUSTED, reason=str(outcome))
        after_s = RETRY_S if outcome.after_s is None else outcome.after_s
        log.warning("job.attempt_failed", key=job.key, attempt=job.attempt, error=str(outcome))
        await _stored(lambda: self._jobs.retry(job, failed, after_s=after_s, also=ended))

    async def _keep(self, job: Job, latest: deque[Progress]) -> Lease:
        """Renew the lease until it is lost, or somebody asks to cancel."""
        loop = asyncio.get_running_loop()
        held_until = loop.time() + self._pace.lease_s
        lease = Lease.CANCEL if job.cancel_requested else Lease.HELD
        while lease is Lease.HELD:
            await asyncio.sleep(self._pace.heartbeat_s)
            asked_at = loop.time()
            progress = latest[-1] if latest else None
            try:
                lease = await asyncio.to_thread(
                    self._jobs.heartbeat, job, self._pace.lease_s, progress
                )
                held_until = asked_at + self._pace.lease_s
            except Retryable as error:
                log.warning("job.heartbeat_failed", key=job.key, error=str(error))
                if loop.time() > held_until:
                    return Lease.LOST
        return lease


async def _stored(change: Callable[[], bool]) -> bool:
    """Make a change as soon as the store is there; False when the lease was lost meanwhile."""
    while True:
        try:
            return await asyncio.to_thread(change)
        except Retryable as error:
            log.warning("jobs.waiting", error=str(error))
            await asyncio.sleep(RETRY_S)


async def _cancel(task: asyncio.Future[Any]) -> None:
    """Cancel a task unless it is done, and wait until it is; its exception stays in it."""
    task.cancel()
    await asyncio.wait({task})
