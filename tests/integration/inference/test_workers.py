"""Two processes of the gateway behind its ports, on real Kafka and S3, before a twin of Triton."""

import asyncio
import os
import re
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import grpc
import httpx
import psutil
import pytest

from infra.local.home import REPO
from libs.artifacts.minio import MinioStore
from libs.events import codec
from libs.events.topics import BY_NAME, ENGINE_LOADED, GENERATION_SERVED, ROUTING
from libs.kafka.confluent import KafkaSink, KafkaSource
from libs.rpc.auth import digest
from libs.runtime.config import KafkaSettings, S3Settings
from protos.common.v1.common_pb2 import Decoding, Engine
from protos.inference.v1.inference_events_pb2 import EngineLoaded, GenerationServed
from protos.inference.v1.inference_service_pb2 import GenerateRequest, Message
from protos.inference.v1.inference_service_pb2_grpc import InferenceServiceStub
from protos.registry.v1.registry_events_pb2 import ROLE_CHAMPION, Release, Route, RoutingTable
from services.inference.adapters.spool import Spool
from services.inference.domain.release import model_name
from services.inference.ports import Entry
from tests.ports import free_port
from tests.unit.services.inference.fakes import eventually
from tests.unit.services.inference.triton_twin import TritonTwin, serving

WITHIN_S = 60.0
ENGINE = "f00d" * 16
FRESH = [("grpc.use_local_subchannel_pool", 1)]
"""A connection of its own for each channel."""


@dataclass
class CountingTwin(TritonTwin):
    loads: Counter[str] = field(default_factory=Counter)

    async def RepositoryModelLoad(self, request: Any, context: Any) -> Any:
        self.loads[request.model_name] += 1
        return await super().RepositoryModelLoad(request, context)


@dataclass
class Gateway:
    """``python -m services.inference`` with two workers, and who asks it."""

    brokers: str
    s3: S3Settings
    triton: str
    state: Path
    application: str = field(default_factory=lambda: f"test-{uuid4().hex[:12]}")
    http: int = field(default_factory=free_port)
    rpc: int = field(default_factory=free_port)
    ops: int = field(default_factory=lambda: neighbours())
    answered: list[str] = field(default_factory=list)

    def environment(self) -> dict[str, str]:
        settings = {
            "WORKERS": "2",
            "HTTP__PORT": str(self.http),
            "RPC__PORT": str(self.rpc),
            "OPS__PORT": str(self.ops),
            "STATE_DIR": str(self.state),
            "UNLOAD_GRACE_S": "0",
            "KAFKA__BROKERS": self.brokers,
            "S3__ENDPOINT": self.s3.endpoint,
            "S3__ACCESS_KEY": self.s3.access_key.get_secret_value(),
            "S3__SECRET_KEY": self.s3.secret_key.get_secret_value(),
            "S3__BUCKET": self.s3.bucket,
            "TRITON__ADDRESS": self.triton,
            "TRITON__REPOSITORY_TOKEN": TritonTwin.token,
            "TRITON__MODEL_REPOSITORY": str(self.state / "models"),
            "TRITON__MEMORY_RESERVE_GB": "0",
            "TRITON__CACHE_SIZE_GB": "0.01",
        }
        kept = {name: value for name, value in os.environ.items() if "PERENNIAL" not in name}
        return kept | {f"PERENNIAL_{name}": value for name, value in settings.items()}

    def routing(self, version: int, *routes: Route) -> RoutingTable:
        return RoutingTable(
            application=self.application,
            version=version,
            key_sha256=[digest(self.application)],
            salt="s",
            routes=routes,
        )

    async def ask(self) -> None:
        """One request through each door, each on a connection of its own; both are answered."""
        headers = {"authorization": f"Bearer {self.application}"}
        said = {"role": "user", "content": "Where is my card?"}
        body = {"model": self.application, "messages": [said]}
        async with httpx.AsyncClient(headers=headers, timeout=WITHIN_S, verify=False) as client:
            url = f"http://127.0.0.1:{self.http}/v1/chat/completions"
            answer = await client.post(url, json=body)
            assert answer.status_code == 200, answer.text
            self.answered.append(answer.json()["id"])
        async with grpc.aio.insecure_channel(f"127.0.0.1:{self.rpc}", options=FRESH) as channel:
            reply = await InferenceServiceStub(channel).Generate(
                GenerateRequest(messages=[Message(**said)]),
                metadata=[("authorization", headers["authorization"])],
                timeout=WITHIN_S,
            )
            self.answered.append(reply.generation_id)

    async def ask_until_both_answered(self) -> None:
        """The kernel deals connections out by chance."""
        async with asyncio.timeout(WITHIN_S):
            while not all([await self.shares(worker) for worker in (0, 1)]):
                await self.ask()

    async def shares(self, worker: int) -> bool:
        """Whether ``worker`` has answered through both doors."""
        page = await self.page(worker, "/metrics")
        pattern = r'perennial_(rpc_seconds_count|generations_total)\{.*("OK"|"stop").*\} (\S+)'
        counts = {name: float(count) for name, _, count in re.findall(pattern, page)}
        rpc = counts.get("rpc_seconds_count", 0.0)
        return rpc > 0 and counts.get("generations_total", 0.0) > rpc

    async def page(self, worker: int, path: str) -> str:
        """Of a worker's ops port; "" where it does not answer well."""
        async with httpx.AsyncClient(verify=False) as client:
            with suppress(httpx.TransportError):
                page = await client.get(f"http://127.0.0.1:{self.ops + worker}{path}")
                return page.text if page.status_code == 200 else ""
        return ""

    async def not_ready(self) -> list[int]:
        return [worker for worker in (0, 1) if not await self.page(worker, "/readyz")]

    def left_behind(self, worker: int) -> str:
        """An event in the spool of a process that was killed; its generation."""
        generation = str(uuid4())
        event = GenerationServed(generation_id=generation, application=self.application)
        spool = Spool(self.state / "workers" / str(worker) / "spool", 1024 * 1024)
        spool.append(Entry(GENERATION_SERVED.name, str(uuid4()), codec.encode(event)))
        spool.close()
        return generation


def neighbours() -> int:
    """A free port, the next one of which is free as well."""
    while (port := free_port()) + 1 != free_port():
        pass
    return port


@asynccontextmanager
async def running(gateway: Gateway) -> AsyncIterator[asyncio.subprocess.Process]:
    (gateway.state / "models").mkdir()
    command = (sys.executable, "-m", "services.inference")
    process = await asyncio.create_subprocess_exec(*command, cwd=REPO, env=gateway.environment())
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


def workers(process: asyncio.subprocess.Process) -> list[psutil.Process]:
    return [
        child
        for child in psutil.Process(process.pid).children()
        if any("spawn_main" in word for word in child.cmdline())
    ]


def alive(process: psutil.Process) -> bool:
    with suppress(psutil.NoSuchProcess):
        return process.status() != psutil.STATUS_ZOMBIE
    return False


def heard(
    brokers: str, application: str, most: int
) -> tuple[list[GenerationServed], list[EngineLoaded]]:
    """``most`` answers of ``application`` and the reports of its engine, and what comes behind."""
    topics = [GENERATION_SERVED.name, ENGINE_LOADED.name]
    source = KafkaSource(KafkaSettings(brokers=brokers), uuid4().hex, topics)
    found: dict[bytes, Any] = {}
    quiet = 0
    while len(found) < most or quiet < 2:
        batch = source.poll(500, 0.5)
        quiet = 0 if batch else quiet + 1
        assert quiet < 2 * WITHIN_S, f"{len(found)} of {most} events arrived"
        for each in batch:
            event: Any = codec.decode(BY_NAME[each.topic], each.value or b"")
            if event.application == application:
                found[dict(each.headers)["event-id"]] = event
    source.close()
    events = found.values()
    return (
        [event for event in events if isinstance(event, GenerationServed)],
        [event for event in events if isinstance(event, EngineLoaded)],
    )


@pytest.mark.timeout(240)
async def test_two_processes_answer_and_one_that_is_killed_loses_nothing(
    brokers: str, s3: S3Settings, tmp_path: Path
) -> None:
    twin, sink, store = CountingTwin(), KafkaSink(KafkaSettings(brokers=brokers)), MinioStore(s3)
    file = store.put(b"weights", "application/octet-stream")
    engine = Engine(
        digest=ENGINE, weights=file, tokenizer=file, chat_template="{{ messages[-1].content }}"
    )
    release = Release(digest="r" * 64, engine=engine, decoding=Decoding(max_tokens=64))
    async with serving(twin) as triton:
        gateway = Gateway(brokers, s3, triton, tmp_path)
        left = [gateway.left_behind(worker) for worker in (1, 2)]
        route = Route(release=release, role=ROLE_CHAMPION, share=1.0)
        sink.send(ROUTING, gateway.routing(1, route))
        sink.flush()
        async with running(gateway) as process:
            async with asyncio.timeout(WITHIN_S):
                while await gateway.not_ready():
                    assert process.returncode is None
                    await asyncio.sleep(0.1)
            await gateway.ask_until_both_answered()

            [killed] = workers(process)
            killed.kill()
            await eventually(lambda: not alive(killed), "killed", WITHIN_S)
            async with asyncio.timeout(WITHIN_S):
                while await gateway.not_ready():
                    await gateway.ask()  # also while the next one starts

            await gateway.ask_until_both_answered()
            family = psutil.Process(process.pid).children(recursive=True)
            process.terminate()
            assert await asyncio.wait_for(process.wait(), WITHIN_S) == 0
            await eventually(lambda: not any(map(alive, family)), "all gone", WITHIN_S)
        sink.send(ROUTING, gateway.routing(2))
        sink.flush()

    expected = gateway.answered + left
    served, loaded = await asyncio.to_thread(heard, brokers, gateway.application, len(expected) + 1)
    assert Counter(event.generation_id for event in served) == Counter(expected)
    assert [event.ready for event in loaded] == [True]
    assert twin.loads[model_name(ENGINE)] == 1
