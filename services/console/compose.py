"""The composition root of the console."""

from libs.http.server import HttpServer
from libs.runtime.clock import SystemClock
from libs.runtime.service import Part, Service
from services.console.adapters.backends import (
    Channels,
    Endpoints,
    MonitorRpc,
    OpsPorts,
    RegistryRpc,
)
from services.console.adapters.kafka import KafkaTopics
from services.console.config import Settings
from services.console.handlers import Look
from services.console.http import make_door
from services.console.http.live import Live
from services.console.http.session import Sessions


def build() -> Service:
    return service(Settings())  # type: ignore[call-arg]  # read from the environment


def service(settings: Settings) -> Service:
    clock = SystemClock()
    token = settings.operator_token.get_secret_value()
    endpoints = Endpoints(settings.endpoints_file)
    channels = Channels(endpoints, token, settings.look_timeout_s)
    look = Look(
        services=OpsPorts(endpoints, settings.look_timeout_s),
        topics=KafkaTopics(settings.kafka, settings.look_timeout_s),
        registry=RegistryRpc(channels),
        monitor=MonitorRpc(channels),
        clock=clock,
    )
    live = Live(look, clock, settings.refresh_s, channels.close)
    sessions = Sessions(token, settings.session_hours, clock)
    parts: list[Part] = [live, HttpServer(settings.http, make_door(live, sessions))]
    return Service("console", settings, parts)
