"""The trainer as a process on real Kafka and S3: killed in the middle of a run and of a build,
it ends each of them once."""

import os
import secrets
import socket
import subprocess
import sys
from pathlib import Path
from typing import Generic
from uuid import uuid4

import pytest

from libs.artifacts.minio import MinioStore
from libs.events import codec
from libs.events.topics import (
    ENGINE_BUILT,
    ENGINE_FAILED,
    ENGINE_REQUESTED,
    TRAINING_COMPLETED,
    TRAINING_FAILED,
    TRAINING_PROGRESSED,
    TRAINING_REQUESTED,
    TRAINING_STARTED,
    E,
    Topic,
)
from libs.kafka.confluent import KafkaSink, KafkaSource
from libs.runtime.config import KafkaSettings, S3Settings
from protos.training.v1.training_events_pb2 import EngineRequested, Recipe, TrainingRequested
from tests.integration.trainer.conftest import PYTHON
from tests.waiting import eventually

START_S = 180.0
RUN_S = 500.0


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
            "PERENNIAL_RPC__PORT": str(_free_port()),
            "PERENNIAL_OPS__PORT": str(_free_port()),
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
    """The events of one run or build on a topic, as they come."""

    def __init__(self, brokers: str, topic: Topic[E], run_id: str) -> None:
        settings = KafkaSettings(brokers=brokers)
        self._source = KafkaSource(settings, f"test-{uuid4().hex}", [topic.name])
        self._topic = topic
        self._run_id = run_id
        self.events: list[E] = []

    def count(self) -> int:
        for record in self._source.poll(500, 0.2):
            event = codec.decode(self._topic, record.value or b"")
            if self._run_id in {getattr(event, "run_id", ""), getattr(event, "build_id", "")}:
                self.events.append(event)
        return len(self.events)

    def close(self) -> None:
        self._source.close()


@pytest.mark.timeout(900)
def test_a_killed_trainer_resumes_and_ends_its_run_once(
    brokers: str, s3: S3Settings, base_model: Path, train: Path, tmp_path: Path
) -> None:
    run_id = f"run-{uuid4()}"
    started = Tail(brokers, TRAINING_STARTED, run_id)
    progressed = Tail(brokers, TRAINING_PROGRESSED, run_id)
    completed = Tail(brokers, TRAINING_COMPLETED, run_id)
    failed = Tail(brokers, TRAINING_FAILED, run_id)
    request = TrainingRequested(
        run_id=run_id,
        campaign_id="campaign-1",
        application=f"bank-{uuid4().hex[:8]}",
        train=MinioStore(s3).put_file(train, "application/vnd.apache.parquet"),
        recipe=Recipe(batch_size=4, checkpoint_steps=2),
    )
    sink = KafkaSink(KafkaSettings(brokers=brokers))
    for _ in range(2):  # delivered twice
        sink.send(TRAINING_REQUESTED, request)
    sink.flush()

    with TrainerProcess(brokers, s3, base_model, tmp_path) as trainer:
        eventually(lambda: progressed.count() >= 3, within_s=START_S + RUN_S)
        trainer.kill()
    with TrainerProcess(brokers, s3, base_model, tmp_path) as trainer:
        eventually(lambda: completed.count() + failed.count() >= 1, within_s=START_S + RUN_S)
        eventually(lambda: started.count() >= 2, within_s=30)
        build_id = f"build-{uuid4()}"
        built, unbuilt = (Tail(brokers, topic, build_id) for topic in (ENGINE_BUILT, ENGINE_FAILED))
        engine = EngineRequested(
            build_id=build_id,
            application=request.application,
            model=completed.events[0].model,
            held_out=request.train,
        )
        sink.send(ENGINE_REQUESTED, engine)
        sink.flush()
        eventually(lambda: trainer.building(build_id), within_s=60)
        trainer.kill()
    with TrainerProcess(brokers, s3, base_model, tmp_path):
        eventually(lambda: built.count() + unbuilt.count() >= 1, within_s=START_S + RUN_S)

    for tail in (started, progressed, completed, failed, built, unbuilt):
        tail.close()
    assert failed.events == []
    assert [event.attempt for event in started.events] == [1, 2]
    assert started.events[1].resumed_from_step >= 2
    [event] = completed.events
    assert event.steps == 6
    assert not event.model.HasField("engine")
    assert unbuilt.events == []
    [answer] = built.events
    assert answer.passed, answer.reasons
    store = MinioStore(s3)
    assert store.get(answer.engine.weights, 400_000_000)[:4] == b"GGUF"
    assert answer.engine.chat_template
    assert b"attempt 2" in store.get(answer.log, 1_000_000)


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
    return port
