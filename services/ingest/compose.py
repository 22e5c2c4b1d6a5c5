"""Ingest's composition root."""

from functools import partial
from typing import Final

from libs.artifacts.minio import MinioStore
from libs.events.topics import RECORD_SUBMITTED, ROUTING
from libs.http.app import make_app
from libs.http.server import HttpServer
from libs.kafka.confluent import KafkaSink
from libs.kafka.consumer import Route
from libs.kafka.door import DOOR_DELIVERY_S
from libs.kafka.part import Consumer
from libs.kafka.table import CompactedTable
from libs.rpc.server import RpcServer
from libs.runtime.clock import SystemClock
from libs.runtime.service import Service
from services.ingest.adapters import AnnounceAndWait, AnnounceInBatch, keys_of
from services.ingest.config import Settings
from services.ingest.handlers import (
    Authenticate,
    OnRecordSubmitted,
    Prepare,
    TakeBatch,
    Upload,
)
from services.ingest.http import Records
from services.ingest.rpc import SERVICE, IngestServicer

MAX_RECORD_BYTES: Final = 4 * 1024 * 1024
"""Of an upload over gRPC, whose caller is known before the first is read."""


def build() -> Service:
    settings = Settings()  # type: ignore[call-arg]  # from the environment
    applications = CompactedTable(settings.kafka, ROUTING, keys_of)
    prepare = Prepare(MinioStore(settings.s3), SystemClock(), settings.max_line_bytes)
    doors_sink = KafkaSink(settings.kafka, DOOR_DELIVERY_S)
    topic_sink = KafkaSink(settings.kafka)
    take = TakeBatch(prepare, AnnounceAndWait(doors_sink))
    upload = partial(Upload, take, settings.batch_records)
    authenticate = Authenticate(applications)
    app = make_app("ingest", settings.max_body_bytes)
    app.include_router(Records(authenticate, upload, settings.max_line_bytes).router())
    on_submitted = OnRecordSubmitted(prepare, AnnounceInBatch(topic_sink), applications)
    return Service(
        "ingest",
        settings,
        [
            doors_sink,
            topic_sink,
            applications,
            RpcServer(
                settings.rpc,
                IngestServicer(authenticate, upload).register,
                [SERVICE],
                max_message_bytes=MAX_RECORD_BYTES,
            ),
            HttpServer(settings.http, app),
            Consumer.of(
                settings.kafka,
                group="ingest",
                routes=[Route(RECORD_SUBMITTED, on_submitted)],
                sink=topic_sink,
            ),
        ],
    )
