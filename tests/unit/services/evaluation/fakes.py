"""Evaluation's ports, in memory."""

import hashlib
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pyarrow
import pyarrow.parquet as parquet

from protos.common.v1.common_pb2 import Artifact, Decoding, Engine, ModelVersion
from protos.registry.v1.application_pb2 import Gate
from protos.registry.v1.registry_events_pb2 import CandidateRegistered
from services.evaluation.domain.comparison import RowScore
from services.evaluation.domain.task import File, Model, Row, Task
from services.evaluation.ports import Tell


def artifact(content: bytes = b"x", media_type: str = "application/octet-stream") -> Artifact:
    digest = hashlib.sha256(content).hexdigest()
    return Artifact(
        uri=f"s3://perennial/sha256/{digest}",
        sha256=digest,
        size_bytes=len(content),
        media_type=media_type,
    )


def candidate_registered(**changes: object) -> CandidateRegistered:
    event = CandidateRegistered(
        campaign_id="campaign-1",
        application="bank",
        candidate=ModelVersion(
            digest="candidate",
            base_digest="base",
            merged=artifact(b"weights"),
            engine=Engine(weights=artifact(b"gguf")),
        ),
        held_out=artifact(b"rows"),
        gate=Gate(worse_margin=0.08, least_gain=0.1, generated_rows=2),
        decoding=Decoding(max_tokens=16),
    )
    event.MergeFrom(CandidateRegistered(**changes))  # type: ignore[arg-type]
    return event


def held_out_parquet(columns: Mapping[str, Sequence[object]]) -> bytes:
    buffer = io.BytesIO()
    parquet.write_table(pyarrow.table(dict(columns)), buffer)
    return buffer.getvalue()


@dataclass
class FixedRows:
    rows: list[Row]

    def __call__(self, task: Task) -> list[Row]:
        return self.rows


@dataclass
class FixedScores:
    """Answer loss by model digest, the same on every row plus a little of the row's number."""

    losses: Mapping[str, float]
    asked: list[str] = field(default_factory=list)

    async def __call__(
        self, model: Model, task: Task, rows: Sequence[Row], tell: Tell
    ) -> list[RowScore]:
        self.asked.append(model.digest)
        tell(len(rows), len(rows))
        return [
            RowScore(
                row.record_id, row.segment, {"answer_loss": self.losses[model.digest] + n / 100}
            )
            for n, row in enumerate(rows)
        ]


@dataclass
class KeptReports:
    reports: list[bytes] = field(default_factory=list)

    def __call__(self, report: bytes) -> File:
        self.reports.append(report)
        stored = artifact(report, "application/json")
        return File(stored.uri, stored.sha256, stored.size_bytes, stored.media_type)


def rows(segment: str = "bank", count: int = 10) -> list[Row]:
    return [
        Row(f"{segment}-{n}", segment, f"question {n}", f"answer {n}", n < 2) for n in range(count)
    ]
