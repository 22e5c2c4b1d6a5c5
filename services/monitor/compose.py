"""The monitor's composition root."""

from libs.events.topics import APPLICATION_APPLIED, FEEDBACK_JOINED, GENERATION_SERVED, ROUTING
from libs.kafka.confluent import KafkaSink
from libs.kafka.consumer import Route
from libs.kafka.part import Consumer
from libs.kafka.table import CompactedTable
from libs.rpc.server import RpcServer
from libs.runtime.service import Service
from libs.sql.engine import connect
from libs.sql.migrate import upgrade
from libs.sql.relay import OutboxRelay
from services.monitor.adapters.sql import OUTBOX, SqlStates
from services.monitor.config import Settings
from services.monitor.handlers import Batch, OnFeedbackJoined, OnGenerationServed
from services.monitor.rpc import SERVICE, MonitorServicer


def build() -> Service:
    settings = Settings()  # type: ignore[call-arg]  # from the environment
    engine = connect(settings.sql.url)
    upgrade(engine, "services.monitor")
    routing = CompactedTable(settings.kafka, ROUTING)
    applied = CompactedTable(settings.kafka, APPLICATION_APPLIED)
    relay_sink, dead_letters = KafkaSink(settings.kafka), KafkaSink(settings.kafka)
    batch = Batch(SqlStates(engine), routing, applied)
    return Service(
        "monitor",
        settings,
        [
            relay_sink,
            dead_letters,
            OutboxRelay(engine, OUTBOX, relay_sink),
            routing,
            applied,
            RpcServer(
                settings.rpc,
                MonitorServicer(SqlStates(engine)).register,
                [SERVICE],
                settings.operator_token.get_secret_value(),
            ),
            Consumer.of(
                settings.kafka,
                group="monitor",
                routes=[
                    Route(GENERATION_SERVED, OnGenerationServed(batch)),
                    Route(FEEDBACK_JOINED, OnFeedbackJoined(batch)),
                ],
                sink=dead_letters,
                before_commit=batch.settle,
            ),
        ],
    )
