"""Durable jobs, the same on SQLite and on PostgreSQL."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from libs.runtime.clock import ManualClock
from libs.sql.engine import connect
from libs.sql.jobs import Job, Jobs, JobState, Lease, Outcome, Progress, add_jobs

DONE = Outcome(JobState.COMPLETED, result=b"42")
BROKEN = Outcome(JobState.FAILED, code="crashed", reason="exit status 1")


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def jobs(sql_url: str, clock: ManualClock) -> Iterator[Jobs]:
    engine = connect(sql_url)
    metadata = sa.MetaData()
    table = add_jobs(metadata)
    metadata.drop_all(engine)
    metadata.create_all(engine)
    yield Jobs(engine, table, clock)
    metadata.drop_all(engine)
    engine.dispose()


def test_work_submitted_twice_is_one_job(jobs: Jobs) -> None:
    assert jobs.submit("run-1", b"first")
    assert not jobs.submit("run-1", b"second")

    stored = jobs.get("run-1")

    assert stored is not None
    assert (stored.payload, stored.state, stored.attempt) == (b"first", JobState.QUEUED, 0)


def test_jobs_are_claimed_oldest_first_and_each_once(jobs: Jobs) -> None:
    for key in ("run-1", "run-2"):
        jobs.submit(key, b"")

    claimed = [jobs.claim("a", 30), jobs.claim("b", 30), jobs.claim("c", 30)]

    assert [job and (job.key, job.worker, job.attempt) for job in claimed] == [
        ("run-1", "a", 1),
        ("run-2", "b", 1),
        None,
    ]


def test_many_workers_at_once_never_hold_one_job_twice(jobs: Jobs) -> None:
    for number in range(20):
        jobs.submit(f"run-{number}", b"")

    def drain(worker: str) -> list[str]:
        keys = []
        while (job := jobs.claim(worker, 30)) is not None:
            keys.append(job.key)
        return keys

    with ThreadPoolExecutor(4) as pool:
        taken = [key for keys in pool.map(drain, "abcd") for key in keys]

    assert sorted(taken) == sorted(f"run-{number}" for number in range(20))


def test_a_lease_that_ran_out_is_claimed_again_with_the_next_attempt(
    jobs: Jobs, clock: ManualClock
) -> None:
    jobs.submit("run-1", b"")
    first = claimed(jobs, "a")
    clock.advance(31)

    second = claimed(jobs, "b")

    assert (second.key, second.worker, second.attempt) == (first.key, "b", 2)


def test_a_heartbeat_keeps_the_lease_and_stores_the_progress(
    jobs: Jobs, clock: ManualClock
) -> None:
    jobs.submit("run-1", b"")
    job = claimed(jobs, "a")
    clock.advance(29)

    lease = jobs.heartbeat(job, 30, Progress(3, 10, {"loss": 1.5}))

    clock.advance(29)
    stored = jobs.get("run-1")
    assert lease is Lease.HELD
    assert jobs.claim("b", 30) is None
    assert stored is not None
    assert stored.progress == Progress(3, 10, {"loss": 1.5})


def test_a_worker_that_lost_its_lease_changes_nothing(jobs: Jobs, clock: ManualClock) -> None:
    jobs.submit("run-1", b"")
    late = claimed(jobs, "a")
    clock.advance(31)
    claimed(jobs, "a")  # the same worker's name: the attempt alone tells them apart

    assert jobs.heartbeat(late, 30) is Lease.LOST
    assert not jobs.finish(late, DONE, also=unreachable)
    assert not jobs.retry(late, BROKEN, after_s=0, also=unreachable)
    assert not jobs.release(late)
    stored = jobs.get("run-1")
    assert stored is not None
    assert (stored.state, stored.attempt) == (JobState.RUNNING, 2)


def test_a_finished_job_keeps_its_result_and_is_never_claimed_again(
    jobs: Jobs, clock: ManualClock
) -> None:
    jobs.submit("run-1", b"")
    ended: list[Job] = []

    assert jobs.finish(claimed(jobs, "a"), DONE, lambda _, job: ended.append(job))

    clock.advance(1000)
    assert jobs.claim("b", 30) is None
    assert [(job.state, job.result) for job in ended] == [(JobState.COMPLETED, b"42")]


def test_a_job_stays_running_when_what_belongs_to_its_end_fails(jobs: Jobs) -> None:
    jobs.submit("run-1", b"")
    job = claimed(jobs, "a")

    with pytest.raises(AssertionError):
        jobs.finish(job, DONE, also=unreachable)

    stored = jobs.get("run-1")
    assert stored is not None
    assert stored.state is JobState.RUNNING


def test_a_failed_attempt_waits_and_the_last_one_ends_the_job(
    jobs: Jobs, clock: ManualClock
) -> None:
    jobs.submit("run-1", b"", max_attempts=2)
    ended: list[Job] = []

    def remember(_connection: Connection, job: Job) -> None:
        ended.append(job)

    jobs.retry(claimed(jobs, "a"), BROKEN, after_s=5, also=remember)
    assert jobs.claim("a", 30) is None
    clock.advance(5)
    assert ended == []
    jobs.retry(claimed(jobs, "a"), BROKEN, after_s=5, also=remember)

    assert [(job.state, job.code, job.attempt) for job in ended] == [
        (JobState.FAILED, "crashed", 2)
    ]


def test_a_job_whose_workers_all_died_fails_and_says_so_once(
    jobs: Jobs, clock: ManualClock
) -> None:
    jobs.submit("run-1", b"")
    for _ in range(3):
        claimed(jobs, "a")
        assert jobs.give_up() is None
        clock.advance(31)

    assert jobs.claim("a", 30) is None
    spent = jobs.give_up()

    assert spent is not None
    assert (spent.state, spent.code) == (JobState.FAILED, "exhausted")
    assert jobs.give_up() is None


def test_giving_a_job_back_costs_no_attempt(jobs: Jobs) -> None:
    jobs.submit("run-1", b"", max_attempts=1)

    for _ in range(5):
        assert jobs.release(claimed(jobs, "a"))

    assert claimed(jobs, "a").attempt == 6


def test_cancelling_a_queued_job_ends_it_at_once(jobs: Jobs) -> None:
    jobs.submit("run-1", b"")
    ended: list[Job] = []

    cancelled = jobs.request_cancel("run-1", "not needed", lambda _, job: ended.append(job))

    assert cancelled is not None
    assert (cancelled.state, cancelled.reason) == (JobState.CANCELLED, "not needed")
    assert ended == [cancelled]
    assert jobs.claim("a", 30) is None


def test_cancelling_a_running_job_is_heard_at_the_heartbeat(jobs: Jobs) -> None:
    jobs.submit("run-1", b"")
    job = claimed(jobs, "a")

    asked = jobs.request_cancel("run-1", "not needed", also=unreachable)

    assert asked is not None
    assert (asked.state, asked.cancel_requested) == (JobState.RUNNING, True)
    assert jobs.heartbeat(job, 30) is Lease.CANCEL


def test_cancelling_an_ended_or_unknown_job_changes_nothing(jobs: Jobs) -> None:
    jobs.submit("run-1", b"")
    jobs.finish(claimed(jobs, "a"), DONE)

    ended = jobs.request_cancel("run-1", also=unreachable)

    assert ended is not None
    assert ended.state is JobState.COMPLETED
    assert jobs.request_cancel("run-2") is None


def claimed(jobs: Jobs, worker: str) -> Job:
    job = jobs.claim(worker, 30)
    assert job is not None
    return job


def unreachable(_connection: Connection, job: Job) -> None:
    raise AssertionError(f"{job.key} must not end here")
