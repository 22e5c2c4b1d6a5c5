"""The composition root of feedback."""

from datetime import timedelta

from sqlalchemy.engine import Engine

from libs.events.topics import FEEDBACK_GIVEN, GENERATION_SERVED, ROUTING
from libs.http.server import HttpServer
from libs.kafka.confluent import KafkaSink
from libs.kafka.consumer import Route
from libs.kafka.door import DOOR_DELIVERY_S
from libs.kafka.part import Consumer
from libs.kafka.table import CompactedTable
from libs.rpc.server import RpcServer
from libs.runtime.clock import SystemClock
from libs.runtime.config import KafkaSettings
from libs.runtime.poller import Poller, on_thread
from libs.runtime.service import Part, Service
from libs.sql.engine import connect
from libs.sql.part import Database
from libs.sql.relay import OutboxRelay
from services.feedback.adapters.doors import ApplicationsInRouting, GiveOnKafka, keys_of
from services.feedback.adapters.sql import OUTBOX, SqlSlots
from services.feedback.config import Settings
from services.feedback.domain import Limits
from services.feedback.handlers import GiveFeedback, Join, Sweep
from services.feedback.http import make_door
from services.feedback.rpc import SERVICE, FeedbackRpc


def build() -> Service:
    settings = Settings()  # type: ignore[call-arg]  # read from the environment
    engine = connect(settings.sql.url)
    door_sink = KafkaSink(settings.kafka, DOOR_DELIVERY_S)
    routing = CompactedTable(settings.kafka, ROUTING, keys_of)
    give = GiveFeedback(ApplicationsInRouting(routing), GiveOnKafka(door_sink), SystemClock())
    parts: list[Part] = [
        Database(engine, "services.feedback"),
        door_sink,
        routing,
        *join_parts(settings.kafka, "feedback", engine, _limits(settings), settings.sweep_s),
        RpcServer(settings.rpc, FeedbackRpc(give).register, [SERVICE]),
        HttpServer(settings.http, make_door(give)),
    ]
    return Service("feedback", settings, parts)


def join_parts(
    kafka: KafkaSettings, group: str, engine: Engine, limits: Limits, sweep_s: float
) -> list[Part]:
    """What joins, as a member of ``group``, with its state behind ``engine``."""
    relay_sink, dead_letters = KafkaSink(kafka), KafkaSink(kafka)
    slots = SqlSlots(engine)
    join, sweep = Join(slots), Sweep(slots, limits, SystemClock())
    return [
        relay_sink,
        dead_letters,
        OutboxRelay(engine, OUTBOX, relay_sink),
        Poller("sweeper", on_thread(sweep), sweep_s, "what is too old stays"),
        Consumer.of(
            kafka,
            group=group,
            routes=[Route(FEEDBACK_GIVEN, join), Route(GENERATION_SERVED, join)],
            sink=dead_letters,
            before_commit=join.settle,
        ),
    ]


def _limits(settings: Settings) -> Limits:
    return Limits(
        generation_age=timedelta(days=settings.generation_days),
        waiting_age=timedelta(hours=settings.waiting_hours),
        slots=settings.generations_per_partition,
        bytes=settings.bytes_per_partition,
    )
