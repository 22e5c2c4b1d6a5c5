"""A preprocessing made of in-memory twins and an in-memory database."""

import io
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from sqlalchemy.engine import Engine

from libs.artifacts.memory import MemoryStore
from libs.events.topics import (
    DATASET_REFUSED,
    DATASET_REQUESTED,
    DATASET_VERSIONED,
    FEEDBACK_JOINED,
    RECORD_RECEIVED,
    RECORD_REJECTED,
)
from libs.kafka.consumer import ConsumerLoop, Route
from libs.kafka.memory import MemoryBroker
from libs.runtime.clock import ManualClock
from libs.sql.engine import connect
from libs.sql.relay import OutboxRelay
from protos.feedback.v1.feedback_events_pb2 import FeedbackJoined
from protos.ingest.v1.ingest_events_pb2 import Record, RecordKind, RecordReceived
from protos.preprocessing.v1.preprocessing_events_pb2 import (
    DatasetQuery,
    DatasetRefused,
    DatasetRequested,
    DatasetVersioned,
)
from services.preprocessing.adapters.cutter import Cutter
from services.preprocessing.adapters.dataset import WriteDataset
from services.preprocessing.adapters.ledger import SqlLedger
from services.preprocessing.adapters.requests import SqlRequests
from services.preprocessing.adapters.tables import METADATA, OUTBOX
from services.preprocessing.domain.cut import PairRow
from services.preprocessing.domain.rows import Language
from services.preprocessing.domain.rules import Rules
from services.preprocessing.handlers import (
    CutDataset,
    OnDatasetRequested,
    OnFeedbackJoined,
    OnRecordReceived,
    Prepare,
)

EXAMPLE = RecordKind.RECORD_KIND_EXAMPLE
CASE = RecordKind.RECORD_KIND_EVALUATION_CASE


def english(_: str) -> Language:
    return Language("en", 0.99)


@dataclass
class StillBacklog:
    """A log that has been read to its end, or has not."""

    read: bool = True

    def ends(self) -> Mapping[tuple[str, int], int]:
        return {("t", 0): 1}

    def reached(self, ends: Mapping[tuple[str, int], int]) -> bool:
        return self.read


@dataclass
class Bench:
    engine: Engine = field(default_factory=lambda: connect("sqlite://"))
    broker: MemoryBroker = field(default_factory=MemoryBroker)
    store: MemoryStore = field(default_factory=MemoryStore)
    counted: Counter[str] = field(default_factory=Counter)
    backlog: StillBacklog = field(default_factory=StillBacklog)
    clock: ManualClock = field(default_factory=ManualClock)
    rules: Rules = field(default_factory=Rules)

    def __post_init__(self) -> None:
        METADATA.create_all(self.engine)
        self.requests = SqlRequests(self.engine)
        self.cutter = Cutter(
            self.requests,
            self.backlog,
            CutDataset(self.requests, WriteDataset(self.store, self.rules)),
            self.clock,
            catch_up_s=60,
        )
        self.relay = OutboxRelay(self.engine, OUTBOX, self.broker.sink())

    def loop(self) -> ConsumerLoop:
        ledger = SqlLedger(self.engine, lambda outcome: self.counted.update([outcome]))
        prepare = Prepare(english, self.rules)
        routes: list[Route[Any]] = [
            Route(RECORD_RECEIVED, OnRecordReceived(ledger, self.store, prepare)),
            Route(FEEDBACK_JOINED, OnFeedbackJoined(ledger, prepare)),
            Route(DATASET_REQUESTED, OnDatasetRequested(ledger)),
        ]
        source = self.broker.source("preprocessing", [route.topic.name for route in routes])
        return ConsumerLoop(source, self.broker.sink(), routes, ledger.commit)

    def run(self) -> None:
        """Read all there is, cut what is asked for, send what is said."""
        loop = self.loop()
        while loop.step():
            pass
        self.cutter.step()
        while self.relay.step():
            pass

    def receive(self, record_id: str, record: Record, at: int = 0) -> None:
        """``at``: seconds since 1970; 0 is not said."""
        event = RecordReceived(record_id=record_id, record=record)
        event.received_at.FromSeconds(at)
        self.broker.produce(RECORD_RECEIVED, event)

    def correct(self, feedback_id: str, version: int, correction: str, **more: object) -> None:
        event = FeedbackJoined(
            feedback_id=feedback_id,
            version=version,
            application="bank",
            prompt=str(more.get("prompt", f"What about {feedback_id}?")),
            correction=correction,
            withdrawn=bool(more.get("withdrawn", False)),
        )
        event.labels["group"] = str(more.get("group", ""))
        event.served_at.FromSeconds(int(str(more.get("served_at", 0))))
        self.broker.produce(FEEDBACK_JOINED, event)

    def ask(self, campaign_id: str, **query: object) -> None:
        event = DatasetRequested(
            campaign_id=campaign_id,
            application="bank",
            query=DatasetQuery(**query),  # type: ignore[arg-type]  # fields by name
        )
        self.broker.produce(DATASET_REQUESTED, event)

    def rows(self) -> list[PairRow]:
        return sorted(self.requests.pairs("bank"), key=lambda row: row.record_id)

    def rejected(self) -> list[tuple[str, str]]:
        return [(e.record_id, e.code) for e in self.broker.events(RECORD_REJECTED)]

    def trained(self, version: DatasetVersioned) -> dict[str, list[Any]]:
        """The columns of its training rows."""
        data = self.store.get(version.train, 10**7)
        columns: dict[str, list[Any]] = pq.read_table(io.BytesIO(data)).to_pydict()
        return columns

    def versioned(self) -> list[DatasetVersioned]:
        return self.broker.events(DATASET_VERSIONED)

    def refused(self) -> list[DatasetRefused]:
        return self.broker.events(DATASET_REFUSED)


def pair(prompt: str, answer: str, **more: str) -> Record:
    """An example of the application "bank"; ``label`` is its domain."""
    record = Record(
        application="bank",
        kind=EXAMPLE,
        prompt=prompt,
        answer=answer,
        group=more.get("group", ""),
        collection=more.get("collection", ""),
        subject=more.get("subject", ""),
    )
    if "label" in more:
        record.labels["domain"] = more["label"]
    return record


def case(prompt: str, answer: str) -> Record:
    return Record(application="bank", kind=CASE, prompt=prompt, answer=answer)


def sqlite_at(path: Path) -> Engine:
    return connect(f"sqlite:///{path / 'rows.db'}")
