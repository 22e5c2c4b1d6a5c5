"""`perennial trace`: from an answer back to the rows its model learned from, and their events."""

import io
from typing import Any, Final

import pyarrow.parquet

from libs.events.topics import GENERATION_SERVED
from libs.faults import NOT_FOUND, Poison
from libs.kafka.consumer import delivery_of
from libs.kafka.replay import read_all
from protos.inference.v1.inference_events_pb2 import GenerationServed
from protos.registry.v1.registry_service_pb2 import Lineage, TraceReleaseRequest
from protos.registry.v1.registry_service_pb2_grpc import RegistryServiceStub
from services.cli import show
from services.cli.session import TIMEOUT_S, Session

MAX_DATASET_BYTES: Final = 256 * 1024 * 1024
SHOWN_ROWS: Final = 3


def find_generation(session: Session, generation_id: str) -> tuple[GenerationServed, str]:
    """The served answer and its address ``topic/partition/offset`` on the log.

    Raises:
        Poison: ``not_found``.
    """
    for record in read_all(session.kafka(), GENERATION_SERVED.name):
        if generation_id.encode() not in (record.value or b""):
            continue
        try:
            event = delivery_of(record).event
        except Poison:
            continue
        if event.generation_id == generation_id:
            return event, f"{record.topic}/{record.partition}/{record.offset}"
    raise Poison(f"no answer {generation_id} on {GENERATION_SERVED.name}", code=NOT_FOUND)


def nearest_rows(prompt: str, rows: list[dict[str, Any]], count: int) -> list[dict[str, Any]]:
    """The rows whose prompts share the largest part of their words with ``prompt``."""
    asked = set(prompt.lower().split())

    def likeness(row: dict[str, Any]) -> float:
        words = set(str(row["prompt"]).lower().split())
        return len(asked & words) / max(len(asked | words), 1)

    return sorted(rows, key=likeness, reverse=True)[:count]


def training_rows(session: Session, lineage: Lineage) -> list[dict[str, Any]]:
    data = session.artifacts().get(lineage.dataset.train, MAX_DATASET_BYTES)
    rows: list[dict[str, Any]] = pyarrow.parquet.read_table(io.BytesIO(data)).to_pylist()
    return rows


def lineage_of(session: Session, generation_id: str) -> dict[str, Any]:
    """Answer -> release -> engine -> adapter -> dataset version -> rows -> source events."""
    event, address = find_generation(session, generation_id)
    registry = RegistryServiceStub(session.operator("registry.rpc"))
    found = registry.TraceRelease(
        TraceReleaseRequest(release_digest=event.release_digest), timeout=TIMEOUT_S
    )
    rows = training_rows(session, found)
    return {
        "generation_id": generation_id,
        "event": address,
        "question": event.prompt,
        "answer": event.answer,
        "release": event.release_digest,
        "campaign": found.campaign_id,
        "engine": found.release.engine.digest,
        "adapter": found.model.adapter.sha256,
        "base": found.model.base_digest,
        "dataset": found.dataset.dataset_digest,
        "training_rows": len(rows),
        "nearest_rows": [
            {
                "record_id": row["record_id"],
                "question": row["prompt"],
                "source": f"{row['topic']}/{row['partition']}/{row['offset']}",
                "event_id": row["event_id"],
                "subject": row["subject"],
            }
            for row in nearest_rows(event.prompt, rows, SHOWN_ROWS)
        ],
    }


def trace(generation_id: str, as_json: show.AsJson = False) -> None:
    """Follow an answer back to the training rows nearest to its question and their events."""
    found = lineage_of(Session.here(), generation_id)
    if as_json:
        return show.print_json(found)
    nearest = found.pop("nearest_rows")
    show.table("lineage", ("what", "is"), found.items())
    return show.rows("training rows with the most words in common", nearest, as_json)
