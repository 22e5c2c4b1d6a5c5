"""The composition root of feedback."""

from datetime import timedelta

from libs.events.topics import ROUTING
from libs.http.server import HttpServer
from libs.kafka.confluent import KafkaSink
from libs.kafka.table import CompactedTable
from libs.rpc.server import RpcServer
from libs.runtime.clock import SystemClock
from libs.runtime.service import Part, Service
from libs.streams.app import Streams
from services.feedback.adapters import ApplicationsInRouting, GiveOnKafka, keys_of
from services.feedback.config import Settings
from services.feedback.domain import Limits
from services.feedback.handlers import GiveFeedback
from services.feedback.http import make_door
from services.feedback.rpc import SERVICE, FeedbackRpc
from services.feedback.streams import JoinStream


def build() -> Service:
    return service(Settings())  # type: ignore[call-arg]  # read from the environment


def service(settings: Settings) -> Service:
    clock = SystemClock()
    door_sink, join_sink = KafkaSink(settings.kafka), KafkaSink(settings.kafka)
    routing = CompactedTable(settings.kafka, ROUTING, keys_of)
    give = GiveFeedback(ApplicationsInRouting(routing), GiveOnKafka(door_sink), clock)
    join = JoinStream(join_sink, _limits(settings), clock, settings.sweep_s)
    parts: list[Part] = [
        door_sink,
        join_sink,
        routing,
        Streams(settings.kafka, group="feedback", state_dir=settings.state_dir, declare=join),
        RpcServer(settings.rpc, FeedbackRpc(give).register, [SERVICE]),
        HttpServer(settings.http, make_door(give)),
    ]
    return Service("feedback", settings, parts)


def _limits(settings: Settings) -> Limits:
    return Limits(
        generation_age=timedelta(days=settings.generation_days),
        waiting_age=timedelta(hours=settings.waiting_hours),
        slots=settings.generations_per_partition,
        bytes=settings.bytes_per_partition,
    )
