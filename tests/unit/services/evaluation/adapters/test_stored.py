"""What evaluation keeps in SQL: migrations, the index of scores, the end of a job."""

from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Engine

from libs.artifacts.memory import MemoryStore
from libs.events.topics import EVALUATION_COMPLETED, EVALUATION_FAILED
from libs.kafka.memory import MemoryBroker
from libs.runtime.clock import ManualClock
from libs.sql.engine import connect
from libs.sql.jobs import Job, Jobs, JobState, Outcome
from libs.sql.migrate import upgrade
from libs.sql.relay import OutboxRelay
from protos.evaluation.v1.evaluation_events_pb2 import EvaluationCompleted, EvaluationFailed
from services.evaluation.adapters.announce import announce
from services.evaluation.adapters.cache import ScoreCache
from services.evaluation.adapters.tables import JOBS, OUTBOX, SCORES
from services.evaluation.domain.comparison import RowScore
from tests.unit.services.evaluation.fakes import candidate_registered

SCORED = [RowScore("r", "bank", {"answer_loss": 3.0}, "an answer")]


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    engine = connect(f"sqlite:///{tmp_path}/evaluation.db")
    upgrade(engine, "services.evaluation")
    return engine


def test_scores_are_found_again(engine: Engine) -> None:
    cache = ScoreCache(engine, MemoryStore())

    cache.put("key", SCORED)
    cache.put("key", SCORED)

    assert cache.get("key") == SCORED
    assert cache.get("another") is None


def test_scores_whose_object_is_gone_are_forgotten(engine: Engine) -> None:
    ScoreCache(engine, MemoryStore()).put("key", SCORED)

    found = ScoreCache(engine, MemoryStore()).get("key")

    with engine.connect() as connection:
        left = connection.scalar(sa.select(sa.func.count()).select_from(SCORES))
    assert (found, left) == (None, 0)


def ended(engine: Engine, outcome: Outcome, payload: bytes | None = None) -> MemoryBroker:
    jobs = Jobs(engine, JOBS, ManualClock())
    event = candidate_registered()
    jobs.submit("campaign-1", event.SerializeToString() if payload is None else payload)
    job = jobs.claim("worker", 30)
    assert isinstance(job, Job)
    jobs.finish(job, outcome, announce)
    broker = MemoryBroker()
    OutboxRelay(engine, OUTBOX, broker.sink()).step()
    return broker


def test_a_completed_job_is_told_as_its_result(engine: Engine) -> None:
    event = EvaluationCompleted(campaign_id="campaign-1", application="bank", passed=True)

    broker = ended(engine, Outcome(JobState.COMPLETED, event.SerializeToString()))

    assert broker.events(EVALUATION_COMPLETED) == [event]
    assert broker.events(EVALUATION_FAILED) == []


def test_a_failed_job_is_told_with_its_code(engine: Engine) -> None:
    broker = ended(engine, Outcome(JobState.FAILED, code="bad_dataset", reason="no rows"))

    assert broker.events(EVALUATION_FAILED) == [
        EvaluationFailed(
            campaign_id="campaign-1", application="bank", code="bad_dataset", reason="no rows"
        )
    ]


def test_a_job_that_holds_no_event_ends_quietly(engine: Engine) -> None:
    broker = ended(engine, Outcome(JobState.FAILED, code="undecodable"), b"\xff\xff")

    assert broker.events(EVALUATION_FAILED) == []
