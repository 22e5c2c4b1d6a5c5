"""Composition root: the only module that names concrete classes."""

import asyncio
import gc
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Self

import grpc

from libs.artifacts.minio import MinioStore
from libs.events.topics import PROBE_REQUESTED, ROUTING
from libs.http.server import HttpServer
from libs.kafka.confluent import KafkaSink
from libs.kafka.consumer import Route
from libs.kafka.part import Consumer
from libs.kafka.table import CompactedTable
from libs.rpc.server import RpcServer
from libs.runtime.clock import SystemClock
from libs.runtime.service import Service
from services.inference.adapters import openai_api, triton
from services.inference.adapters.engine_host import TritonHost
from services.inference.adapters.fleet import Endpoint, FleetEngines, FleetGenerator
from services.inference.adapters.journal import SpoolJournal
from services.inference.adapters.keys import Keys
from services.inference.adapters.memory import FileMemory
from services.inference.adapters.room import GIB, Room
from services.inference.adapters.routing import CachedRouting
from services.inference.adapters.spool import Spool
from services.inference.config import ProviderSettings, Settings
from services.inference.domain.admission import Admission
from services.inference.domain.cache import Cache
from services.inference.domain.gpu import Gpus
from services.inference.domain.loaded import LoadedEngines
from services.inference.domain.replicas import Replicas
from services.inference.handlers.admit import Admit
from services.inference.handlers.answer import Answer
from services.inference.handlers.burst import Burst, OnProbeRequested, Requests
from services.inference.handlers.deliver import Deliver
from services.inference.handlers.embed import Embed
from services.inference.handlers.external import External
from services.inference.handlers.follow import FollowRouting, Pace
from services.inference.handlers.mirror import Mirror
from services.inference.handlers.probing import Prober
from services.inference.handlers.runner import Runner
from services.inference.handlers.sentinel import Sentinel
from services.inference.http import OpenAiHttp
from services.inference.ports import Generator
from services.inference.rpc import SERVICE, InferenceRpc

LAST_DELIVERY_S: Final = 5.0


def _ready() -> str | None:
    return None


async def _leave() -> None:
    pass


async def _until_stopped(stop: asyncio.Event) -> None:
    await stop.wait()


@dataclass(slots=True)
class Task:
    """A handler that runs by itself, as a Part. ``leave`` runs after the doors have closed."""

    name: str
    work: Callable[[asyncio.Event], Awaitable[None]]
    why_not_ready: Callable[[], str | None] = _ready
    leave: Callable[[], Awaitable[None]] = _leave

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.leave()

    async def serve(self, stop: asyncio.Event) -> None:
        await self.work(stop)

    def unready(self) -> str | None:
        return self.why_not_ready()


def build() -> Service:
    settings = Settings()  # type: ignore[call-arg]  # from the environment
    clock = SystemClock()
    channel = triton.connect(settings.triton.address)
    embedder = triton.TritonEmbedder(
        channel, settings.triton.embedding_model, settings.triton.embed_s
    )
    sink = KafkaSink(settings.kafka)
    spool = Spool(settings.state_dir / "spool", settings.spool_max_bytes)
    deliver = Deliver(spool, sink, embedder, clock)
    journal = SpoolJournal(spool, deliver.wake)
    topic = CompactedTable(settings.kafka, ROUTING)
    routing = CachedRouting(topic, lambda: topic.unready() is None, settings.state_dir / "routing")
    http = openai_api.client()
    external = External(openai_api.OpenAiProviders(http, _keys(settings.providers)), clock)
    follows = _follows(settings, channel, routing, journal, external)
    generator, loaded = _engines(follows, clock)
    runner = Runner(
        generator=generator,
        loaded=loaded,
        journal=journal,
        clock=clock,
        # Of several endpoints each tells its own follower.
        on_engine_down=follows[0].suspect if len(follows) == 1 else _nobody,
        external=external,
        cache=Cache(settings.cache_max_bytes),
    )
    mirror = Mirror(runner, settings.max_mirrors, settings.generate_s)
    admit = Admit(Admission(settings.max_requests), clock)
    answer = Answer(runner, admit, mirror, settings.generate_s)
    embed = Embed(embedder)
    prober = Prober(routing, external, FileMemory(settings.state_dir / "sentinel"))
    requests, consumer = _requests(settings, Burst(prober, journal, clock), sink)
    _spare_what_stays()
    return Service(
        "inference",
        settings,
        [
            sink,
            Task("providers", _until_stopped, leave=http.close),
            Task("delivery", deliver.serve, leave=lambda: deliver.finish(LAST_DELIVERY_S)),
            # Not ready while Kafka is away would take a replica that answers out of service:
            # readiness is the cached tables' as well, so the topic's own is not asked.
            Task(topic.name, topic.serve, leave=lambda: topic.__aexit__(None, None, None)),
            Task("routing", routing.serve, routing.unready),
            Task("mirror", mirror.serve),
            Task("sentinel", Sentinel(prober, journal, clock).serve),
            Task(
                "probe-requests",
                requests.serve,
                leave=lambda: consumer.__aexit__(None, None, None),
            ),
            *(
                Task(f"engines.{number}", follow.serve, lambda: _none_ready(follows))
                for number, follow in enumerate(follows)
            ),
            RpcServer(settings.rpc, InferenceRpc(routing, answer, embed).register, [SERVICE]),
            HttpServer(settings.http, OpenAiHttp(routing, answer, embed).app()),
        ],
    )


def _spare_what_stays() -> None:
    """Modules and settings stay until the end. Searched for garbage with every whole collection,
    they would hold up all answers for 70 ms."""
    gc.collect()
    gc.freeze()


def _requests(settings: Settings, burst: Burst, sink: KafkaSink) -> tuple[Requests, Consumer]:
    """Its readiness is not the service's either: an answer needs no Kafka."""
    handler = OnProbeRequested(burst, asyncio.get_running_loop())
    consumer = Consumer.of(
        settings.kafka,
        group="inference",
        routes=[Route(PROBE_REQUESTED, handler)],
        sink=sink,
        max_records=1,
    )
    return Requests(consumer.serve, handler), consumer


def _keys(settings: ProviderSettings) -> Keys:
    known = {name: key.get_secret_value() for name, key in settings.keys.items()}
    return Keys(known, settings.keys_dir, settings.addresses)


def _follows(
    settings: Settings,
    channel: grpc.aio.Channel,
    routing: CachedRouting,
    journal: SpoolJournal,
    external: External,
) -> list[FollowRouting]:
    """One for each Triton."""
    channels = [channel, *(triton.connect(address) for address in settings.triton.others)]
    files, store = asyncio.Lock(), MinioStore(settings.s3)
    return [
        FollowRouting(
            routing=routing,
            host=_host(settings, each, store, files),
            generator=triton.TritonGenerator(each),
            loaded=LoadedEngines(),
            journal=journal,
            replica=settings.replica if number == 0 else f"{settings.replica}/{number}",
            clock=SystemClock(),
            pace=Pace(probe_every_s=settings.probe_every_s, grace_s=settings.unload_grace_s),
            why_not=external.why_not,
        )
        for number, each in enumerate(channels)
    ]


def _engines(
    follows: Sequence[FollowRouting], clock: SystemClock
) -> tuple[Generator, LoadedEngines]:
    """One Triton is used as it is, several as a fleet."""
    if len(follows) == 1:
        return follows[0].generator, follows[0].loaded
    endpoints = [Endpoint(one.generator, one.loaded, one.suspect) for one in follows]
    fleet = FleetGenerator(endpoints, Replicas(len(endpoints)), clock)
    return fleet, FleetEngines([one.loaded for one in follows])


def _nobody(_: str) -> None:
    pass


def _none_ready(follows: Sequence[FollowRouting]) -> str | None:
    """One endpoint with an engine is enough."""
    reasons = [follow.unready() for follow in follows]
    return None if None in reasons else reasons[0]


def _host(
    settings: Settings, channel: grpc.aio.Channel, store: MinioStore, files: asyncio.Lock
) -> TritonHost:
    return TritonHost(
        channel=channel,
        token=settings.triton.repository_token.get_secret_value(),
        store=store,
        templates=settings.triton.templates,
        gpus=Gpus(**settings.triton.gpu.model_dump()) if settings.triton.gpu else None,
        model_repository=settings.triton.model_repository,
        cache=settings.state_dir / "engines",
        cache_size_gb=settings.triton.cache_size_gb,
        timeout_s=settings.triton.load_s,
        room=Room(
            cache_bytes=int(settings.triton.cache_size_gb * GIB),
            reserve_bytes=int(settings.triton.memory_reserve_gb * GIB),
        ),
        files=files,
    )
