"""Events <-> domain values, and the report."""

import json
import math
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, Final

from google.protobuf.message import DecodeError

from libs.faults import Poison
from protos.common.v1 import common_pb2
from protos.evaluation.v1.evaluation_events_pb2 import (
    EvaluationCompleted,
    EvaluationFailed,
    MetricDifference,
    SegmentResult,
)
from protos.registry.v1 import application_pb2
from protos.registry.v1.registry_events_pb2 import CandidateRegistered
from services.evaluation.domain.comparison import Difference, RowScore, Segment
from services.evaluation.domain.gate import Gate, Verdict
from services.evaluation.domain.task import File, Model, Row, Task

GENERATED_ROWS: Final = 24
MAX_GENERATED_ROWS: Final = 500
MAX_TOKENS: Final = 48
MOST_TOKENS: Final = 1024


def registered(payload: bytes) -> CandidateRegistered:
    event = CandidateRegistered()
    try:
        event.ParseFromString(payload)
    except DecodeError as error:
        raise Poison(f"a job that holds no event: {error}", code="undecodable") from error
    return event


def task(event: CandidateRegistered) -> Task:
    """Read and check the whole request.

    Raises:
        Poison: ``bad_candidate``, ``bad_gate``.
    """
    candidate = event.candidate
    if not candidate.digest or not candidate.HasField("merged") or not event.HasField("held_out"):
        raise Poison("the candidate has no digest, weights or held-out rows", code="bad_candidate")
    has_champion = event.HasField("reference") and bool(event.reference.digest)
    if not has_champion and not candidate.base_digest:
        raise Poison("neither a reference nor a base model is named", code="bad_candidate")
    champion = _model(event.reference) if has_champion else Model(candidate.base_digest)
    return Task(
        campaign_id=event.campaign_id,
        application=event.application,
        candidate=_model(candidate),
        reference=champion,
        held_out=_file(event.held_out),
        prompt_template=event.prompt_template,
        gate=_gate(event.gate),
        generated_rows=min(event.gate.generated_rows or GENERATED_ROWS, MAX_GENERATED_ROWS),
        max_tokens=min(event.decoding.max_tokens or MAX_TOKENS, MOST_TOKENS),
    )


def completed(
    task: Task, verdict: Verdict, segments: Sequence[Segment], report: File, seconds: float
) -> EvaluationCompleted:
    return EvaluationCompleted(
        campaign_id=task.campaign_id,
        application=task.application,
        candidate_digest=task.candidate.digest,
        reference_digest=task.reference.digest,
        passed=verdict.passed,
        reasons=verdict.reasons,
        segments=[
            SegmentResult(
                segment=segment.name,
                rows=segment.rows,
                metrics=[_difference(entry) for entry in segment.differences],
            )
            for segment in segments
        ],
        report=artifact(report),
        seconds=seconds,
    )


def failed(event: CandidateRegistered, code: str, reason: str) -> EvaluationFailed:
    return EvaluationFailed(
        campaign_id=event.campaign_id, application=event.application, code=code, reason=reason
    )


def report(
    task: Task,
    verdict: Verdict,
    segments: Sequence[Segment],
    rows: Sequence[Row],
    scores: tuple[Sequence[RowScore], Sequence[RowScore]],
) -> bytes:
    """The report as JSON: what was asked, the verdict, and every row's figures.

    Args:
        scores: the candidate's and the reference's.
    """
    candidate, reference = ({score.record_id: score for score in each} for each in scores)
    told = {
        "task": asdict(task),
        "verdict": asdict(verdict),
        "segments": [asdict(segment) for segment in segments],
        "rows": [
            {
                "record_id": row.record_id,
                "segment": row.segment,
                "message": row.message,
                "answer": row.answer,
                "candidate": _figures(candidate[row.record_id]),
                "reference": _figures(reference[row.record_id]),
            }
            for row in rows
            if row.record_id in candidate
        ],
    }
    return json.dumps(told, ensure_ascii=False, sort_keys=True).encode()


def dump_scores(scores: Sequence[RowScore]) -> bytes:
    return json.dumps([asdict(score) for score in scores], sort_keys=True).encode()


def load_scores(data: bytes) -> list[RowScore]:
    """Raises:
    Poison: ``bad_scores`` when these are not scored rows.
    """
    try:
        return [RowScore(**entry) for entry in json.loads(data)]
    except (ValueError, TypeError) as error:
        raise Poison(f"not scored rows: {error}", code="bad_scores") from error


def artifact(file: File) -> common_pb2.Artifact:
    return common_pb2.Artifact(**asdict(file))


def file(stored: common_pb2.Artifact) -> File:
    return _file(stored)


def _figures(score: RowScore) -> dict[str, Any]:
    return {**score.metrics, **({} if score.answer is None else {"answer": score.answer})}


def _model(version: common_pb2.ModelVersion) -> Model:
    has_engine = version.HasField("engine") and version.engine.HasField("weights")
    return Model(
        digest=version.digest,
        weights=_file(version.merged) if version.HasField("merged") else None,
        engine=_file(version.engine.weights) if has_engine else None,
    )


def _file(stored: common_pb2.Artifact) -> File:
    return File(stored.uri, stored.sha256, stored.size_bytes, stored.media_type)


def _gate(gate: application_pb2.Gate) -> Gate:
    """Zero is the default, as the contract says."""
    defaults = Gate()
    asked = Gate(
        worse_margin=gate.worse_margin or defaults.worse_margin,
        least_gain=gate.least_gain or defaults.least_gain,
    )
    if not all(math.isfinite(value) and value >= 0 for value in asdict(asked).values()):
        raise Poison(f"the gate's margins are {asdict(asked)}", code="bad_gate")
    return asked


def _difference(entry: Difference) -> MetricDifference:
    return MetricDifference(
        metric=entry.metric,
        candidate=entry.candidate,
        reference=entry.reference,
        difference=common_pb2.Interval(**asdict(entry.interval)),
    )
