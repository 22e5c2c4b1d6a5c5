"""The trainer as a process on real Kafka and S3, killed in the middle of a build."""

import os
import secrets
import subprocess
import sys
from pathlib import Path
from typing import Any, Generic
from uuid import uuid4

import pytest

from libs.artifacts.minio import MinioStore
from libs.events import codec
from libs.events.topics import (
    ENGINE_BUILT,
    ENGINE_FAILED,
    ENGINE_REQUESTED,
    E,
    Topic,
)
from libs.kafka.confluent import KafkaSink, KafkaSource
from libs.runtime.config import KafkaSettings, S3Settings
from protos.common.v1.common_pb2 import ModelVersion
from protos.training.v1.training_events_pb2 import EngineRequested
from tests.integration.trainer.conftest import PYTHON
from tests.ports import free_port
from tests.waiting import eventually

START_S = 180.0
BUILD_S = 500.0


class TrainerProcess:
    """``python -m services.trainer`` with a SQLite file; its home outlives it."""

    def __init__(self, brokers: str, s3: S3Settings, base_model: Path, home: Path) -> None:
        self._home = home
        self._environment = {
            **{name: value for name, value in os.environ.items() if "PERENNIAL" not in name},
            "PERENNIAL_KAFKA__BROKERS": brokers,
            "PERENNIAL_S3__ENDPOINT": s3.endpoint,
            "PERENNIAL_S3__ACCESS_KEY": s3.access_key.get_secret_value(),
            "PERENNIAL_S3__SECRET_KEY": s3.secret_key.get_secret_value(),
            "PERENNIAL_S3__BUCKET": s3.bucket,
            "PERENNIAL_SQL__URL": f"sqlite:///{home / 'trainer.db'}",
            "PERENNIAL_RPC__PORT": str(free_port()),
            "PERENNIAL_OPS__PORT": str(free_port()),
            "PERENNIAL_OPERATOR_TOKEN": secrets.token_hex(16),
            "PERENNIAL_STATE_DIR": str(home),
            "PERENNIAL_MODEL_PYTHON": str(PYTHON),
            "PERENNIAL_BASE_MODEL": str(base_model),
            "PERENNIAL_LEASE_S": "5",
            "PERENNIAL_HEARTBEAT_S": "1",
        }

    def __enter__(self) -> "TrainerProcess":
        with (self._home / "trainer.log").open("ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "services.trainer"],
                env=self._environment,
                stdout=output,
                stderr=output,
            )
        return self

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        try:
            self.process.wait(30)
        finally:
            self.process.kill()

    def building(self, build_id: str) -> bool:
        """Whether the first attempt at a build has begun to work."""
        return (self._home / "builds" / build_id / "attempt-1" / "engine").exists()

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(10)


class Tail(Generic[E]):
    """The events of one build on a topic, as they come."""

    def __init__(self, brokers: str, topic: Topic[E], build_id: str) -> None:
        settings = KafkaSettings(brokers=brokers)
        self._source = KafkaSource(settings, f"test-{uuid4().hex}", [topic.name])
        self._topic = topic
        self._build_id = build_id
        self.events: list[E] = []

    def count(self) -> int:
        for record in self._source.poll(500, 0.2):
            event = codec.decode(self._topic, record.value or b"")
            if getattr(event, "build_id", "") == self._build_id:
                self.events.append(event)
        return len(self.events)

    def close(self) -> None:
        self._source.close()


@pytest.mark.timeout(900)
def test_a_killed_builder_builds_again_and_ends_its_build_once(
    brokers: str, s3: S3Settings, base_model: Path, unbroken: dict[str, Any], train: Path,
    tmp_path: Path,
) -> None:  # fmt: skip
    store = MinioStore(s3)
    merged = store.put_file(Path(unbroken["merged"]), "application/octet-stream")
    build_id = f"build-{uuid4()}"
    built, unbuilt = (Tail(brokers, topic, build_id) for topic in (ENGINE_BUILT, ENGINE_FAILED))
    request = EngineRequested(
        build_id=build_id,
        application=f"bank-{uuid4().hex[:8]}",
        model=ModelVersion(
            digest=merged.sha256, base_digest=unbroken["base_sha256"], merged=merged
        ),
        held_out=store.put_file(train, "application/vnd.apache.parquet"),
    )
    sink = KafkaSink(KafkaSettings(brokers=brokers))
    for _ in range(2):  # delivered twice
        sink.send(ENGINE_REQUESTED, request)
    sink.flush()

    with TrainerProcess(brokers, s3, base_model, tmp_path) as trainer:
        eventually(lambda: trainer.building(build_id), within_s=START_S)
        trainer.kill()
    with TrainerProcess(brokers, s3, base_model, tmp_path):
        eventually(lambda: built.count() + unbuilt.count() >= 1, within_s=START_S + BUILD_S)

    for tail in (built, unbuilt):
        tail.close()
    assert unbuilt.events == []
    [answer] = built.events
    assert answer.passed, answer.reasons
    assert store.get(answer.engine.weights, 400_000_000)[:4] == b"GGUF"
    assert answer.engine.chat_template
    assert b"attempt 2" in store.get(answer.log, 1_000_000)
