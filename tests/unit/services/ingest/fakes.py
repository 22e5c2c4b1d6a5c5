"""An ingest made of in-memory twins."""

from dataclasses import dataclass, field

from fastapi import FastAPI

from libs.artifacts.memory import MemoryStore
from libs.events.topics import RECORD_RECEIVED, ROUTING
from libs.http.app import make_app
from libs.kafka.memory import MemoryBroker
from libs.kafka.table import MemoryTable
from libs.rpc.auth import digest
from libs.runtime.clock import ManualClock
from protos.ingest.v1.ingest_events_pb2 import RecordReceived
from protos.registry.v1.registry_events_pb2 import RoutingTable
from services.ingest.adapters import AnnounceAndWait, AnnounceInBatch, keys_of
from services.ingest.handlers import (
    Authenticate,
    OnRecordSubmitted,
    Prepare,
    TakeBatch,
    Upload,
)
from services.ingest.http import Records

KEY = "bank-key"
MAX_LINE_BYTES = 500_000


def routing() -> MemoryTable[RoutingTable]:
    table = MemoryTable(ROUTING, keys_of)
    table.put(RoutingTable(application="bank", key_sha256=[digest(KEY)]))
    return table


@dataclass
class Ingest:
    broker: MemoryBroker = field(default_factory=MemoryBroker)
    store: MemoryStore = field(default_factory=MemoryStore)
    applications: MemoryTable[RoutingTable] = field(default_factory=routing)
    batch_records: int = 2

    @property
    def prepare(self) -> Prepare:
        return Prepare(self.store, ManualClock(), MAX_LINE_BYTES)

    @property
    def authenticate(self) -> Authenticate:
        return Authenticate(self.applications)

    def upload(self) -> Upload:
        return Upload(
            TakeBatch(self.prepare, AnnounceAndWait(self.broker.sink())), self.batch_records
        )

    def on_submitted(self) -> OnRecordSubmitted:
        announce = AnnounceInBatch(self.broker.sink())
        return OnRecordSubmitted(self.prepare, announce, self.applications)

    def app(self, max_body_bytes: int = 2_000_000) -> FastAPI:
        app = make_app("ingest", max_body_bytes)
        app.include_router(Records(self.authenticate, self.upload, MAX_LINE_BYTES).router())
        return app

    def received(self) -> list[RecordReceived]:
        return self.broker.events(RECORD_RECEIVED)
