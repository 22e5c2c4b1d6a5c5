import json
from datetime import UTC, datetime

import pytest

from libs.events.delivery import Delivery
from libs.events.topics import CANDIDATE_REGISTERED
from libs.faults import Poison
from libs.runtime.clock import ManualClock
from libs.sql.jobs import Job, JobState, Progress
from protos.common.v1.common_pb2 import ModelVersion
from protos.evaluation.v1.evaluation_events_pb2 import EvaluationCompleted
from protos.registry.v1.registry_events_pb2 import CandidateRegistered
from services.evaluation.domain.task import Row
from services.evaluation.handlers import Evaluate, OnCandidateRegistered
from tests.unit.services.evaluation.fakes import (
    FixedRows,
    FixedScores,
    KeptReports,
    candidate_registered,
    rows,
)


def job(event: CandidateRegistered) -> Job:
    return Job(
        event.campaign_id,
        event.SerializeToString(),
        JobState.RUNNING,
        1,
        "worker",
        False,
        Progress(),
        b"",
        "",
        "",
    )


def evaluate(
    scores: FixedScores, held_out: list[Row] | None = None, kept: KeptReports | None = None
) -> Evaluate:
    return Evaluate(
        FixedRows(rows() if held_out is None else held_out),
        scores,
        kept or KeptReports(),
        ManualClock(),
    )


def test_a_candidate_becomes_one_job_under_its_campaign() -> None:
    jobs: dict[str, bytes] = {}

    def submit(key: str, payload: bytes) -> bool:
        return jobs.setdefault(key, payload) is payload

    event = candidate_registered()
    delivery = Delivery(CANDIDATE_REGISTERED, event, "id", 0, 0, datetime.now(UTC))

    OnCandidateRegistered(submit)(delivery)
    OnCandidateRegistered(submit)(delivery)

    assert list(jobs) == ["campaign-1"]
    assert CandidateRegistered.FromString(jobs["campaign-1"]) == event


def test_a_candidate_of_no_campaign_is_poison() -> None:
    event = CandidateRegistered(application="bank")
    delivery = Delivery(CANDIDATE_REGISTERED, event, "id", 0, 0, datetime.now(UTC))

    with pytest.raises(Poison, match="campaign_id"):
        OnCandidateRegistered(submit=lambda *_: pytest.fail("queued"))(delivery)


async def test_a_better_candidate_passes_with_its_numbers_and_a_report() -> None:
    kept = KeptReports()
    told: list[Progress] = []
    subject = evaluate(FixedScores({"candidate": 3.1, "base": 3.8}), kept=kept)

    outcome = await subject(job(candidate_registered()), told.append)

    event = EvaluationCompleted.FromString(outcome.result)
    [segment] = event.segments
    loss = segment.metrics[0]
    assert outcome.state is JobState.COMPLETED
    assert (event.passed, event.candidate_digest, event.reference_digest) == (
        True,
        "candidate",
        "base",
    )
    assert loss.metric == "answer_loss"
    assert loss.difference.upper == pytest.approx(-0.7)
    report = json.loads(kept.reports[0])
    assert report["rows"][0]["candidate"]["answer_loss"] == pytest.approx(3.1)
    assert [(step.step, step.total) for step in told] == [(10, 20), (20, 20)]


async def test_a_worse_candidate_is_told_as_not_passed() -> None:
    subject = evaluate(FixedScores({"candidate": 3.4, "base": 3.1}))

    outcome = await subject(job(candidate_registered()), lambda _: None)

    event = EvaluationCompleted.FromString(outcome.result)
    assert outcome.state is JobState.COMPLETED
    assert not event.passed
    assert event.reasons[0].startswith("FAIL: bank")


async def test_the_champion_is_the_reference_where_there_is_one() -> None:
    scores = FixedScores({"candidate": 3.0, "champion": 3.5})
    event = candidate_registered(reference=ModelVersion(digest="champion"))

    await evaluate(scores)(job(event), lambda _: None)

    assert scores.asked == ["champion", "candidate"]


async def test_too_few_held_out_rows_are_poison() -> None:
    subject = evaluate(FixedScores({"candidate": 3.0, "base": 3.5}), rows(count=3))

    with pytest.raises(Poison) as caught:
        await subject(job(candidate_registered()), lambda _: None)

    assert caught.value.code == "too_few_rows"


async def test_a_candidate_without_weights_is_poison() -> None:
    event = candidate_registered()
    event.candidate.ClearField("merged")

    with pytest.raises(Poison) as caught:
        await evaluate(FixedScores({}))(job(event), lambda _: None)

    assert caught.value.code == "bad_candidate"
