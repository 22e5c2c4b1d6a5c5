"""Composition root: the only module that names concrete classes."""

import asyncio
import gc
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

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
from libs.runtime.late import Late
from libs.runtime.service import Part, Service, run
from libs.runtime.task import Task
from libs.runtime.workers import Workers, end_with_parent, ops_of
from services.inference.adapters import openai_api, triton
from services.inference.adapters.borrowed import Borrowed, Untold
from services.inference.adapters.engine_host import TritonHost
from services.inference.adapters.fleet import Endpoint, FleetEngines, FleetGenerator
from services.inference.adapters.journal import SpoolJournal
from services.inference.adapters.keys import Keys
from services.inference.adapters.memory import FileMemory
from services.inference.adapters.room import GIB, Room
from services.inference.adapters.routing import CachedRouting
from services.inference.adapters.spool import Spool, adopt
from services.inference.config import ProviderSettings, Settings
from services.inference.domain.admission import Admission
from services.inference.domain.cache import Cache
from services.inference.domain.gpu import Gpus
from services.inference.domain.loaded import LoadedEngines
from services.inference.domain.pace import Pace
from services.inference.domain.replicas import Replicas
from services.inference.handlers.admit import Admit
from services.inference.handlers.answer import Answer
from services.inference.handlers.burst import Burst, OnProbeRequested, Requests
from services.inference.handlers.deliver import Deliver
from services.inference.handlers.embed import Embed
from services.inference.handlers.external import External
from services.inference.handlers.follow import FollowRouting
from services.inference.handlers.mirror import Mirror
from services.inference.handlers.probing import Prober
from services.inference.handlers.runner import Runner
from services.inference.handlers.sentinel import Sentinel
from services.inference.handlers.strays import Strays
from services.inference.http import OpenAiHttp, problems
from services.inference.ports import Generator, Journal
from services.inference.rpc import SERVICE, InferenceRpc

LAST_DELIVERY_S: Final = 5.0
YOUNG: Final = 10_000
BORROWED_S: Final = 0.5
"""Between two looks of a further process at an engine that the first one is loading."""
BORROWED_PROBE_S: Final = 3.0
"""Of each such look: what it asks a hung engine is never answered, also when another is loaded."""


def build() -> Service:
    """The first process, which owns the engines and what there is one of."""
    return _process(Settings(), 0)  # type: ignore[call-arg]  # from the environment


def work(number: int) -> None:
    """The body of a further process."""
    end_with_parent()
    run(lambda: _process(Settings(), number))  # type: ignore[call-arg]  # as above


def _process(settings: Settings, number: int) -> Service:
    clock = SystemClock()
    first, shared = number == 0, settings.workers > 1
    channel = triton.connect(settings.triton.address)
    embedder = triton.TritonEmbedder(
        channel, settings.triton.embedding_model, settings.triton.embed_s
    )
    sink = KafkaSink(settings.kafka)
    spool = _spool(settings, number)
    deliver = Deliver(spool, sink, embedder, clock)
    journal = SpoolJournal(spool, deliver.wake)
    topic = CompactedTable(settings.kafka, ROUTING)
    routing = CachedRouting(
        topic, lambda: topic.unready() is None, settings.state_dir / "routing", kept=first
    )
    http = openai_api.client()
    external = External(openai_api.OpenAiProviders(http, _keys(settings.providers)), clock)
    follows = _follows(settings, channel, routing, journal if first else None, external)
    generator, loaded = _engines(follows, clock)
    runner = Runner(
        generator=generator,
        loaded=loaded,
        journal=journal,
        clock=clock,
        # Of several endpoints each tells its own follower.
        on_engine_down=follows[0].suspect if len(follows) == 1 else _nobody,
        external=external,
        cache=Cache(settings.part(settings.cache_max_bytes)),
    )
    mirror = Mirror(runner, settings.part(settings.max_mirrors), settings.generate_s)
    admit = Admit(Admission(settings.part(settings.max_requests), settings.workers), clock)
    answer = Answer(runner, admit, mirror, settings.generate_s)
    embed = Embed(embedder, admit)
    parts: list[Part] = [
        sink,
        Task("providers", leave=http.close),
        Task("delivery", deliver.serve, leave=lambda: deliver.finish(LAST_DELIVERY_S)),
        # Not ready while Kafka is away would take a replica that answers out of service:
        # readiness is the cached tables' as well, so the topic's own is not asked.
        Task(topic.name, topic.serve, leave=lambda: topic.__aexit__(None, None, None)),
        Task("routing", routing.serve, routing.unready),
        Task("mirror", mirror.serve),
        *(
            Task(f"engines.{index}", follow.serve, lambda: _none_ready(follows))
            for index, follow in enumerate(follows)
        ),
    ]
    rpc = InferenceRpc(routing, answer, embed).register
    http_app = OpenAiHttp(routing, answer, embed).app()
    doors: list[Part] = [
        RpcServer(settings.rpc, rpc, [SERVICE], shared=shared),
        HttpServer(settings.http, http_app, shared=shared, tell=problems.tell),
    ]
    _spare_what_stays()
    if first:
        prober = Prober(routing, external, FileMemory(settings.state_dir / "sentinel"))
        parts += [
            *(_strays(index, follow, routing) for index, follow in enumerate(follows)),
            Task("sentinel", Sentinel(prober, journal, clock).serve),
            _requests(settings, Burst(prober, journal, clock), sink),
            *doors,
        ]
        return Service("inference", settings, [*_workers(settings), *parts])
    parts.append(Late(doors, lambda: routing.unready() or _none_ready(follows)))
    ops = ops_of(settings.ops, number)
    return Service(f"inference.{number}", settings.model_copy(update={"ops": ops}), parts)


def _workers(settings: Settings) -> list[Part]:
    if settings.workers == 1:
        return []
    return [Workers(work, settings.workers, settings.ops, [settings.rpc, settings.http])]


def _spool(settings: Settings, number: int) -> Spool:
    """Each process has its own; the first one takes over those of processes that are no more."""
    bound = settings.part(settings.spool_max_bytes)
    others = settings.state_dir / "workers"
    if number:
        return Spool(others / str(number) / "spool", bound)
    spool = Spool(settings.state_dir / "spool", bound)
    for left in others.glob("[0-9]*/spool"):
        if int(left.parent.name) >= settings.workers:
            adopt(spool, left)
    return spool


def _spare_what_stays() -> None:
    """Modules and settings stay until the end. Searched for garbage with every whole collection,
    they would hold up all answers for 70 ms. An answer leaves no circles behind: young objects are
    searched when there are as many as a hundred answers make, not for every dozen."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG)


def _requests(settings: Settings, burst: Burst, sink: KafkaSink) -> Task:
    """Its readiness is not the service's either: an answer needs no Kafka."""
    handler = OnProbeRequested(burst, asyncio.get_running_loop())
    consumer = Consumer.of(
        settings.kafka,
        group="inference",
        routes=[Route(PROBE_REQUESTED, handler)],
        sink=sink,
        max_records=1,
    )
    return Task(
        "probe-requests",
        Requests(consumer.serve, handler).serve,
        leave=lambda: consumer.__aexit__(None, None, None),
    )


def _keys(settings: ProviderSettings) -> Keys:
    known = {name: key.get_secret_value() for name, key in settings.keys.items()}
    return Keys(known, settings.keys_dir, settings.addresses)


def _follows(
    settings: Settings,
    channel: grpc.aio.Channel,
    routing: CachedRouting,
    reports: Journal | None,
    external: External,
) -> list[FollowRouting]:
    """One for each Triton; without ``reports`` it only looks."""
    channels = [channel, *(triton.connect(address) for address in settings.triton.others)]
    generators = [triton.TritonGenerator(each) for each in channels]
    files, store = asyncio.Lock(), MinioStore(settings.s3)
    room = Room(
        cache_bytes=int(settings.triton.cache_size_gb * GIB),
        reserve_bytes=int(settings.triton.memory_reserve_gb * GIB),
        loaded=lambda: [engine for follow in follows for engine in follow.answering()],
    )
    pace = Pace(probe_every_s=settings.probe_every_s, grace_s=settings.unload_grace_s)
    if reports is None:
        pace = replace(pace, away_s=BORROWED_S, probe_s=BORROWED_PROBE_S, revive_s=0.0)
    elif settings.workers > 1:
        pace = replace(pace, sure_grace_s=settings.unload_grace_s)
    follows = [
        FollowRouting(
            routing=routing,
            host=_host(settings, each, store, room, files) if reports else Borrowed(),
            generator=generator,
            loaded=LoadedEngines(),
            journal=reports or Untold(),
            replica=settings.replica if number == 0 else f"{settings.replica}/{number}",
            clock=SystemClock(),
            pace=pace,
            why_not=external.why_not,
            drop=generator.drop,
        )
        for number, (each, generator) in enumerate(zip(channels, generators, strict=True))
    ]
    return follows


def _engines(
    follows: Sequence[FollowRouting], clock: SystemClock
) -> tuple[Generator, LoadedEngines]:
    """One Triton is used as it is, several as a fleet."""
    if len(follows) == 1:
        return follows[0].generator, follows[0].loaded
    endpoints = [Endpoint(one.generator, one.loaded, one.suspect) for one in follows]
    fleet = FleetGenerator(endpoints, Replicas(len(endpoints)), clock)
    return fleet, FleetEngines([one.loaded for one in follows])


def _strays(index: int, follow: FollowRouting, routing: CachedRouting) -> Task:
    attended = lambda: None if routing.unready() else follow.attended()  # noqa: E731
    return Task(f"strays.{index}", Strays(follow.host, attended).serve)


def _nobody(_: str) -> None:
    pass


def _none_ready(follows: Sequence[FollowRouting]) -> str | None:
    """One endpoint with an engine is enough."""
    reasons = [follow.unready() for follow in follows]
    return None if None in reasons else reasons[0]


def _host(
    settings: Settings,
    channel: grpc.aio.Channel,
    store: MinioStore,
    room: Room,
    files: asyncio.Lock,
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
        room=room,
        files=files,
    )
