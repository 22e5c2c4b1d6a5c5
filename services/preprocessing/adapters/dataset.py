"""A dataset as Parquet files and a manifest in the artifact store."""

import hashlib
import io
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from libs.artifacts.store import ArtifactStore
from protos.common.v1.common_pb2 import Artifact
from protos.preprocessing.v1.preprocessing_events_pb2 import (
    DatasetRequested,
    DatasetVersioned,
    SegmentCount,
)
from services.preprocessing.domain import cut as cuts
from services.preprocessing.domain.cut import Cut, PairRow, Query
from services.preprocessing.domain.rules import Rules
from services.preprocessing.domain.similarity import NEAR
from services.preprocessing.domain.split import HELD_OUT_SHARE

MANIFEST: Final = "perennial.dataset.v1"
PREPARATION: Final = 1
"""Version of the cleaning and splitting code; grows when the same record may become another row."""
PARQUET: Final = "application/vnd.apache.parquet"
TEXTS: Final = ("record_id", "prompt", "answer", "segment", "group", "subject", "topic")
SCHEMA: Final = pa.schema(
    [
        *((name, pa.string()) for name in TEXTS),
        ("partition", pa.int64()),
        ("offset", pa.int64()),
        ("event_id", pa.string()),
    ]
)


@dataclass(frozen=True, slots=True)
class WriteDataset:
    store: ArtifactStore
    rules: Rules

    def __call__(self, request: DatasetRequested, query: Query, cut: Cut) -> DatasetVersioned:
        train = self.store.put(parquet(cut.train, query), PARQUET)
        held_out = self.store.put(parquet(cut.held_out, query), PARQUET)
        text = manifest(request.application, query, cut, self.rules, train, held_out)
        stored = self.store.put(text, "application/json")
        segments = [
            SegmentCount(segment=name, train=trained, held_out=tested)
            for name, trained, tested in cuts.segments(cut, query)
        ]
        return DatasetVersioned(
            campaign_id=request.campaign_id,
            application=request.application,
            dataset_digest=stored.sha256,
            manifest=stored,
            train=train,
            held_out=held_out,
            segments=segments,
        )


def parquet(rows: Sequence[PairRow], query: Query) -> bytes:
    """The rows as one Parquet file; the same rows give the same bytes."""
    lines = [_line(row, query) for row in rows]
    buffer = io.BytesIO()
    table = pa.Table.from_pylist(lines, schema=SCHEMA)
    pq.write_table(table, buffer, compression="zstd", write_statistics=False)
    return buffer.getvalue()


def manifest(
    application: str, query: Query, cut: Cut, rules: Rules, train: Artifact, held_out: Artifact
) -> bytes:
    """What the dataset is made of, as JSON with one spelling; its sha256 names the dataset."""
    content = {
        "schema": MANIFEST,
        "application": application,
        "query": {name: each for name, each in asdict(query).items() if each is not None},
        "train": _part(train, cut.train, query),
        "held_out": _part(held_out, cut.held_out, query),
        "segments": [
            {"segment": name, "train": trained, "held_out": tested}
            for name, trained, tested in cuts.segments(cut, query)
        ],
        "left_out": dict(cut.left_out),
        "rules": asdict(rules),
        "near_duplicate_jaccard": NEAR,
        "held_out_share": HELD_OUT_SHARE,
        "preparation": PREPARATION,
    }
    return json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def _part(artifact: Artifact, rows: Sequence[PairRow], query: Query) -> dict[str, Any]:
    return {
        "rows": len(rows),
        "rows_sha256": _rows_digest(rows, query),
        "sha256": artifact.sha256,
        "size_bytes": artifact.size_bytes,
        "sources": [
            {
                "topic": topic,
                "partition": partition,
                "first_offset": first,
                "last_offset": last,
                "rows": count,
            }
            for topic, partition, first, last, count in cuts.spans(rows)
        ],
    }


def _rows_digest(rows: Sequence[PairRow], query: Query) -> str:
    """sha256 over the rows themselves, whatever wrote the file."""
    digest = hashlib.sha256()
    for row in rows:
        digest.update(json.dumps(_line(row, query), sort_keys=True).encode())
    return digest.hexdigest()


def _line(row: PairRow, query: Query) -> dict[str, Any]:
    return {
        "record_id": row.record_id,
        "prompt": row.prompt,
        "answer": row.answer,
        "segment": row.segment(query),
        "group": row.group,
        "subject": row.subject,
        "topic": row.source.topic,
        "partition": row.source.partition,
        "offset": row.source.offset,
        "event_id": row.source.event_id,
    }
