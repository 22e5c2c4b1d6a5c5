"""Preprocessing's composition root."""

from typing import Final

from libs.artifacts.minio import MinioStore
from libs.events.topics import DATASET_REQUESTED, FEEDBACK_JOINED, RECORD_RECEIVED
from libs.kafka.confluent import KafkaSink
from libs.kafka.consumer import Route
from libs.kafka.part import Consumer
from libs.runtime.clock import SystemClock
from libs.runtime.poller import Poller, on_thread
from libs.runtime.service import Service
from libs.sql.engine import connect
from libs.sql.part import Database
from libs.sql.relay import OutboxRelay
from services.preprocessing.adapters.backlog import KafkaBacklog
from services.preprocessing.adapters.cutter import Cutter
from services.preprocessing.adapters.dataset import WriteDataset
from services.preprocessing.adapters.language import DetectLanguage
from services.preprocessing.adapters.ledger import SqlLedger
from services.preprocessing.adapters.requests import SqlRequests
from services.preprocessing.adapters.tables import OUTBOX
from services.preprocessing.adapters.verdicts import count_verdict
from services.preprocessing.config import Settings
from services.preprocessing.domain.rules import Rules
from services.preprocessing.handlers import (
    CutDataset,
    OnDatasetRequested,
    OnFeedbackJoined,
    OnRecordReceived,
    Prepare,
)

GROUP: Final = "preprocessing"
LOOK_EVERY_S: Final = 0.25


def build() -> Service:
    settings = Settings()  # type: ignore[call-arg]  # from the environment
    engine = connect(settings.sql.url)
    store = MinioStore(settings.s3)
    rules = Rules(languages=settings.languages)
    ledger = SqlLedger(engine, count_verdict)
    prepare = Prepare(DetectLanguage(), rules)
    requests = SqlRequests(engine)
    relay_sink, dead_letters = KafkaSink(settings.kafka), KafkaSink(settings.kafka)
    backlog = KafkaBacklog(settings.kafka, GROUP, [RECORD_RECEIVED.name, FEEDBACK_JOINED.name])
    cut = CutDataset(requests, WriteDataset(store, rules))
    cutter = Cutter(requests, backlog, cut, SystemClock(), settings.catch_up_s)
    consumer = Consumer.of(
        settings.kafka,
        group=GROUP,
        routes=[
            Route(RECORD_RECEIVED, OnRecordReceived(ledger, store, prepare)),
            Route(FEEDBACK_JOINED, OnFeedbackJoined(ledger, prepare)),
            Route(DATASET_REQUESTED, OnDatasetRequested(ledger)),
        ],
        sink=dead_letters,
        before_commit=ledger.commit,
    )
    return Service(
        "preprocessing",
        settings,
        [
            Database(engine, "services.preprocessing"),
            relay_sink,
            dead_letters,
            OutboxRelay(engine, OUTBOX, relay_sink),
            Poller("cutter", on_thread(cutter.step), LOOK_EVERY_S, "datasets wait"),
            consumer,
        ],
    )
