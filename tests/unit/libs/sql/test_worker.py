import asyncio
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from libs.faults import Poison, Retryable
from libs.runtime.clock import ManualClock
from libs.sql.engine import connect
from libs.sql.jobs import Job, Jobs, JobState, Outcome, Progress, add_jobs
from libs.sql.worker import Hooks, JobWorker, Pace, Report, Run

QUICK = Pace(lease_s=30.0, heartbeat_s=0.005, poll_s=0.005)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def jobs(tmp_path: Path, clock: ManualClock) -> Jobs:
    engine = connect(f"sqlite:///{tmp_path}/jobs.db")
    metadata = sa.MetaData()
    table = add_jobs(metadata)
    metadata.create_all(engine)
    jobs = Jobs(engine, table, clock)
    jobs.submit("run-1", b"payload", max_attempts=2)
    return jobs


def worker(jobs: Jobs, run: Run, ended: list[Job] | None = None) -> JobWorker:
    def remember(_connection: Connection, job: Job) -> None:
        if ended is not None:
            ended.append(job)

    return JobWorker(jobs, run, Hooks(ended=remember), QUICK)


def stored(jobs: Jobs) -> Job:
    job = jobs.get("run-1")
    assert job is not None
    return job


async def test_a_job_is_worked_on_and_its_end_is_told(jobs: Jobs) -> None:
    ended: list[Job] = []

    async def run(job: Job, report: Report) -> Outcome:
        return Outcome(JobState.COMPLETED, result=job.payload.upper())

    busy = await worker(jobs, run, ended).step(asyncio.Event())

    assert busy
    assert [(job.state, job.result) for job in ended] == [(JobState.COMPLETED, b"PAYLOAD")]


async def test_without_a_job_there_is_nothing_to_do(jobs: Jobs) -> None:
    jobs.request_cancel("run-1")

    assert not await worker(jobs, never).step(asyncio.Event())


async def test_poisonous_work_fails_at_once_with_its_code(jobs: Jobs) -> None:
    async def run(job: Job, report: Report) -> Outcome:
        raise Poison("no rows", code="bad_dataset")

    await worker(jobs, run).step(asyncio.Event())

    assert (stored(jobs).state, stored(jobs).code) == (JobState.FAILED, "bad_dataset")


async def test_retryable_work_runs_again_until_no_attempt_is_left(jobs: Jobs) -> None:
    async def run(job: Job, report: Report) -> Outcome:
        raise Retryable("the store is away", after_s=0)

    subject = worker(jobs, run)

    assert [await subject.step(asyncio.Event()) for _ in range(3)] == [True, True, False]
    assert (stored(jobs).state, stored(jobs).code, stored(jobs).attempt) == (
        JobState.FAILED,
        "exhausted",
        2,
    )


async def test_progress_is_stored_while_the_work_goes_on(jobs: Jobs) -> None:
    async def run(job: Job, report: Report) -> Outcome:
        report(Progress(7, 10, {"loss": 2.0}))
        while stored(jobs).progress.step != 7:  # noqa: ASYNC110 - no event to wait for
            await asyncio.sleep(0.001)
        return Outcome(JobState.COMPLETED)

    await asyncio.wait_for(worker(jobs, run).step(asyncio.Event()), 10)

    assert stored(jobs).state is JobState.COMPLETED


async def test_a_cancelled_job_stops_its_work(jobs: Jobs) -> None:
    ended: list[Job] = []

    async def run(job: Job, report: Report) -> Outcome:
        jobs.request_cancel("run-1", "not needed")
        return await forever()

    await asyncio.wait_for(worker(jobs, run, ended).step(asyncio.Event()), 10)

    assert [(job.state, job.code) for job in ended] == [(JobState.CANCELLED, "cancelled")]


async def test_a_lost_lease_stops_the_work_and_writes_nothing(
    jobs: Jobs, clock: ManualClock
) -> None:
    ended: list[Job] = []

    async def run(job: Job, report: Report) -> Outcome:
        clock.advance(1000)
        assert jobs.claim("another", 30) is not None
        return await forever()

    await asyncio.wait_for(worker(jobs, run, ended).step(asyncio.Event()), 10)

    assert ended == []
    assert (stored(jobs).worker, stored(jobs).state) == ("another", JobState.RUNNING)


async def test_a_stopping_service_gives_its_job_back(jobs: Jobs) -> None:
    stop = asyncio.Event()

    async def run(job: Job, report: Report) -> Outcome:
        stop.set()
        return await forever()

    await asyncio.wait_for(worker(jobs, run).part("worker").serve(stop), 10)

    assert (stored(jobs).state, stored(jobs).worker) == (JobState.QUEUED, "")


async def test_a_bug_in_the_work_stops_the_worker(jobs: Jobs) -> None:
    async def run(job: Job, report: Report) -> Outcome:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await worker(jobs, run).part("worker").serve(asyncio.Event())

    assert stored(jobs).state is JobState.RUNNING  # until its lease runs out


async def test_a_job_whose_workers_all_died_is_buried_by_the_next_one(
    jobs: Jobs, clock: ManualClock
) -> None:
    ended: list[Job] = []
    for _ in range(2):
        jobs.claim("dead", 30)
        clock.advance(31)

    busy = await worker(jobs, never, ended).step(asyncio.Event())

    assert not busy
    assert [(job.state, job.code) for job in ended] == [(JobState.FAILED, "exhausted")]


async def never(job: Job, report: Report) -> Outcome:
    raise AssertionError("no work expected")


async def forever() -> Outcome:
    await asyncio.Event().wait()
    raise AssertionError("unreachable")
