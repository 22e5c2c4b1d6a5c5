"""A rollout under load before a real Triton: a canary, its rollback, the canary again, its
promotion, and the old engine's unloading. Nobody may notice."""

import asyncio
import hashlib
import os
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import grpc

from infra.local import stack
from libs.events.topics import ROUTING
from libs.kafka.confluent import KafkaSink
from libs.runtime.config import KafkaSettings
from protos.common.v1.common_pb2 import Artifact, Engine
from protos.inference.v1.inference_service_pb2 import GenerateRequest, Message
from protos.inference.v1.inference_service_pb2_grpc import InferenceServiceStub
from protos.registry.v1.registry_events_pb2 import ROLE_CANARY, Release, RoutingTable
from tests.bench.serving.figures import Result, alone, compared, impossible, percentile
from tests.bench.serving.gateways import KEY, Gateway, perennial, routing_table
from tests.bench.serving.processes import CLIENT_CORE, on_core
from tests.bench.serving.real_triton import BASE, ENGINE, MISSING, RealTriton, is_possible, triton
from tests.bench.serving.streams import ANSWER_S, PROMPT

NEW: Final = "beef" * 16
STREAMS: Final = 8
TOKENS: Final = 8
HEARD_S: Final = 3.0
"""After a rollback, before the next step."""
STEP_S: Final = 120.0
P99: Final = "rollout: answer p99, during over before"


@dataclass(frozen=True, slots=True)
class Answer:
    begun_s: float
    seconds: float
    release: str
    failure: str = ""


@dataclass(slots=True)
class Load:
    """Closed loops of short answers through the gateway."""

    address: str
    answers: list[Answer] = field(default_factory=list)

    async def run(self) -> None:
        async with grpc.aio.insecure_channel(self.address) as channel:
            stub: Any = InferenceServiceStub(channel)
            await asyncio.gather(*(self._ask(stub) for _ in range(STREAMS)))

    async def _ask(self, stub: Any) -> None:
        request = GenerateRequest(
            messages=[Message(role="user", content=PROMPT)], max_tokens=TOKENS
        )
        key = (("authorization", f"Bearer {KEY}"),)
        while True:
            begun_s, release, failure = time.monotonic(), "", ""
            try:
                async for chunk in stub.GenerateStream(request, metadata=key, timeout=ANSWER_S):
                    release = chunk.release_digest
            except grpc.aio.AioRpcError as error:
                failure = f"{error.code().name} {error.details()}"[:200]
            seconds = time.monotonic() - begun_s
            self.answers.append(Answer(begun_s, seconds, release, failure))

    def between(self, from_s: float, to_s: float) -> list[float]:
        """Seconds of the answers that began then."""
        return [each.seconds for each in self.answers if from_s <= each.begun_s < to_s]


@dataclass(frozen=True, slots=True)
class Marks:
    """When what happened."""

    begun_s: float
    canary_s: float
    rolled_back_s: float
    unloaded_s: float
    ended_s: float


def rollout(work: Path, rounds: int, seconds: float) -> list[Result]:
    """One rollout; ``3 * seconds`` of steady load before and after it."""
    if not is_possible():
        return [impossible(P99, "<= 1.5", MISSING)]
    home = work / "stack"
    stack.up(home, only=("kafka", "topics"))
    try:
        on_core(stack.status(home)["kafka"]["pid"], CLIENT_CORE)
        brokers = stack.endpoints(home)["kafka"]
        with triton(work) as real, _gateway(work, real, brokers) as gateway:
            load = Load(gateway.rpc_address)
            marks = asyncio.run(
                _story(load, KafkaSink(KafkaSettings(brokers=brokers)), real, 3 * seconds)
            )
    finally:
        stack.down(home)
    return _told(load, marks)


@contextmanager
def _gateway(work: Path, real: RealTriton, brokers: str) -> Iterator[Gateway]:
    """Both engines' files are in its cache, as those of engines that it has served before."""
    for engine in (ENGINE, _new(real)):
        files = work / "state" / "engines" / engine.digest[:16]
        files.mkdir(parents=True)
        os.link(real.gguf, files / "model.gguf")
        shutil.copyfile(BASE / "tokenizer.json", files / "tokenizer.json")
    more = {
        "KAFKA__BROKERS": brokers,
        "TRITON__ADDRESS": real.address,
        "TRITON__REPOSITORY_TOKEN": real.token,
        "TRITON__MODEL_REPOSITORY": str(real.model_repository),
    }
    table = routing_table(ENGINE)
    sink = KafkaSink(KafkaSettings(brokers=brokers))
    _publish(sink, table)
    with perennial(work, table, more, core=CLIENT_CORE) as gateway:
        yield gateway


async def _story(load: Load, sink: KafkaSink, real: RealTriton, steady_s: float) -> Marks:
    working = asyncio.create_task(load.run())
    await _until(lambda: len(load.answers) > 2 * STREAMS, "answers")
    begun_s = time.monotonic()
    await asyncio.sleep(steady_s)
    canary_s = _publish(sink, _table(2, real, canary=0.5))
    await _until(lambda: _answered(load, NEW, canary_s), "the canary")
    rolled_back_s = _publish(sink, _table(3, real, canary=0.0))
    await asyncio.sleep(HEARD_S)
    again_s = _publish(sink, _table(4, real, canary=0.5))
    await _until(lambda: _answered(load, NEW, again_s), "the canary again")
    _publish(sink, _table(5, real, canary=1.0))
    old = real.model_repository / f"llm-{ENGINE.digest[:16]}"
    await _until(lambda: not old.exists(), "the old engine's unloading")
    unloaded_s = time.monotonic()
    await asyncio.sleep(steady_s)
    working.cancel()
    await asyncio.gather(working, return_exceptions=True)
    return Marks(begun_s, canary_s, rolled_back_s, unloaded_s, time.monotonic())


def _told(load: Load, marks: Marks) -> list[Result]:
    failures = [each.failure for each in load.answers if each.failure]
    before = load.between(marks.begun_s, marks.canary_s)
    during = load.between(marks.canary_s, marks.unloaded_s)
    after = load.between(marks.unloaded_s, marks.ended_s)
    late = [
        each.begun_s - marks.rolled_back_s
        for each in load.answers
        if each.release == NEW
        and marks.rolled_back_s < each.begun_s < marks.rolled_back_s + HEARD_S
    ]
    seconds = marks.unloaded_s - marks.canary_s
    note = (
        f"{len(during)} answers in {seconds:.0f} s; p50 {_ms(before, 0.5)}, during "
        f"{_ms(during, 0.5)}, after {_ms(after, 0.5)} ms; p99 after {_ms(after, 0.99)} ms"
    )
    print(f"  {note}; failures {failures[:3]}", flush=True)
    p99 = ([percentile(during, 0.99)], [percentile(before, 0.99)])
    first = failures[0] if failures else f"of {len(load.answers)}"
    return [
        alone("rollout: failed answers", [float(len(failures))], "answers", "<= 0", first),
        compared(P99, *p99, "s", "<= 1.5", note),
        alone(
            "rollout: last new answer by what was rolled back",
            [max(late, default=0.0)],
            "s",
            "<= 2",
        ),
    ]


def _new(real: RealTriton) -> Engine:
    def artifact(path: Path) -> Artifact:
        data = path.read_bytes()
        sha256 = hashlib.sha256(data).hexdigest()
        return Artifact(uri=f"s3://bench/{sha256}", sha256=sha256, size_bytes=len(data))

    engine = Engine(digest=NEW, chat_template=ENGINE.chat_template)
    engine.weights.CopyFrom(artifact(real.gguf))
    engine.tokenizer.CopyFrom(artifact(BASE / "tokenizer.json"))
    return engine


def _table(version: int, real: RealTriton, canary: float) -> RoutingTable:
    """``canary`` 1: it has become the champion."""
    table = routing_table(_new(real) if canary == 1.0 else ENGINE)
    table.version = version
    if canary == 1.0:
        table.routes[0].release.digest = NEW
    elif canary:
        release = Release()
        release.CopyFrom(table.routes[0].release)
        release.engine.CopyFrom(_new(real))
        release.digest = NEW
        table.routes.add(release=release, role=ROLE_CANARY, share=canary)
    return table


def _publish(sink: KafkaSink, table: RoutingTable) -> float:
    sink.send(ROUTING, table)
    sink.flush()
    return time.monotonic()


def _answered(load: Load, release: str, since_s: float) -> bool:
    return any(one.release == release and one.begun_s >= since_s for one in load.answers)


async def _until(true: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + STEP_S
    while not true():
        if time.monotonic() > end:
            raise TimeoutError(f"no sign of {what} within {STEP_S:g} s")
        await asyncio.sleep(0.02)


def _ms(seconds: Sequence[float], share: float) -> str:
    return f"{1e3 * percentile(seconds, share):.0f}"
