"""The monitor's composition root."""

from prometheus_client import REGISTRY
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]  # it ships none

from libs.events.topics import (
    APPLICATION_APPLIED,
    FEEDBACK_JOINED,
    GENERATION_SERVED,
    PROVIDER_PROBED,
    ROUTING,
    TRAINING_COMPLETED,
)
from libs.kafka.confluent import KafkaSink
from libs.kafka.consumer import Route
from libs.kafka.part import Consumer
from libs.kafka.table import CompactedTable
from libs.rpc.server import RpcServer
from libs.runtime.service import Service
from libs.sql.engine import connect
from libs.sql.part import Database
from libs.sql.relay import OutboxRelay
from services.monitor.adapters.gauges import Gauges
from services.monitor.adapters.language import DetectLanguage
from services.monitor.adapters.shelf import Shelf
from services.monitor.adapters.sql import OUTBOX, SqlStates
from services.monitor.config import Settings
from services.monitor.handlers import (
    Batch,
    OnFeedbackJoined,
    OnGenerationServed,
    OnProviderProbed,
    OnTrainingCompleted,
)
from services.monitor.rpc import SERVICE, MonitorServicer


def build() -> Service:
    settings = Settings()  # type: ignore[call-arg]  # from the environment
    threadpool_limits(limits=1)  # blocks of ten rows: more threads halve the speed
    engine = connect(settings.sql.url)
    routing = CompactedTable(settings.kafka, ROUTING)
    applied = CompactedTable(settings.kafka, APPLICATION_APPLIED)
    relay_sink, dead_letters = KafkaSink(settings.kafka), KafkaSink(settings.kafka)
    gauges = Gauges()
    REGISTRY.register(gauges)
    batch = Batch(SqlStates(engine), routing, applied, gauges, settings.detect_per_s)

    def revoked() -> None:
        batch.forget()
        gauges.forget()

    return Service(
        "monitor",
        settings,
        [
            Database(engine, "services.monitor"),
            relay_sink,
            dead_letters,
            OutboxRelay(engine, OUTBOX, relay_sink),
            routing,
            applied,
            RpcServer(
                settings.rpc,
                MonitorServicer(Shelf(engine)).register,
                [SERVICE],
                settings.operator_token.get_secret_value(),
            ),
            Consumer.of(
                settings.kafka,
                group="monitor",
                routes=[
                    Route(GENERATION_SERVED, OnGenerationServed(batch, DetectLanguage())),
                    Route(FEEDBACK_JOINED, OnFeedbackJoined(batch)),
                    Route(PROVIDER_PROBED, OnProviderProbed(batch)),
                    Route(TRAINING_COMPLETED, OnTrainingCompleted(batch)),
                ],
                sink=dead_letters,
                before_commit=batch.settle,
                revoked=revoked,
            ),
        ],
    )
