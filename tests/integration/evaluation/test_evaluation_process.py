"""Evaluation as a process: real Kafka, S3, SQL, and the base model on a real bench."""

import os
import pickle
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar
from uuid import uuid4

import pytest
from google.protobuf.message import Message

from infra.local.home import REPO
from libs.artifacts.minio import MinioStore
from libs.artifacts.store import sha256_of_file
from libs.events.topics import CANDIDATE_REGISTERED, EVALUATION_COMPLETED, EVALUATION_FAILED, Topic
from libs.kafka.confluent import KafkaSink, KafkaSource
from libs.runtime.config import KafkaSettings, S3Settings
from protos.common.v1.common_pb2 import ModelVersion
from protos.registry.v1.application_pb2 import Gate
from protos.registry.v1.registry_events_pb2 import CandidateRegistered
from tests.ports import free_port
from tests.unit.services.evaluation.fakes import held_out_parquet
from tests.waiting import eventually

E = TypeVar("E", bound=Message)

BASE_MODEL = REPO / ".build" / "base-model"
WEIGHTS = BASE_MODEL / "model.safetensors"
MODEL_PYTHON = REPO / ".venv-model" / "bin" / "python"
SCORED_WITHIN_S = 240.0

pytestmark = pytest.mark.skipif(
    not WEIGHTS.exists() or not MODEL_PYTHON.exists(), reason="needs `make setup`"
)


class Evaluation:
    """``python -m services.evaluation``."""

    def __init__(self, brokers: str, s3: S3Settings, sql_url: str, home: Path) -> None:
        self._home = home
        self._env = {
            **{name: value for name, value in os.environ.items() if "PERENNIAL" not in name},
            "PERENNIAL_KAFKA__BROKERS": brokers,
            "PERENNIAL_S3__ENDPOINT": s3.endpoint,
            "PERENNIAL_S3__ACCESS_KEY": s3.access_key.get_secret_value(),
            "PERENNIAL_S3__SECRET_KEY": s3.secret_key.get_secret_value(),
            "PERENNIAL_S3__BUCKET": s3.bucket,
            "PERENNIAL_SQL__URL": sql_url,
            "PERENNIAL_STATE_DIR": str(home / "state"),
            "PERENNIAL_MODEL_PYTHON": str(MODEL_PYTHON),
            "PERENNIAL_BASE_MODEL": str(BASE_MODEL),
            "PERENNIAL_LEASE_S": "5",
        }
        self.start()

    def start(self) -> None:
        with (self._home / "evaluation.log").open("ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "services.evaluation"],
                env={**self._env, "PERENNIAL_OPS__PORT": str(free_port())},
                stdout=output,
                stderr=output,
            )

    def scoring(self) -> bool:
        return any((self._home / "state" / "scoring").glob("*/job.json"))

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(10)


@pytest.fixture
def evaluation(brokers: str, s3: S3Settings, sql_url: str, tmp_path: Path) -> Iterator[Evaluation]:
    running = Evaluation(brokers, s3, sql_url, tmp_path)
    yield running
    running.process.terminate()
    try:
        assert running.process.wait(30) == 0
    finally:
        print((tmp_path / "evaluation.log").read_text()[-6000:])


def request(s3: S3Settings, campaign: str, weights: Path = WEIGHTS) -> CandidateRegistered:
    """The base model as its own candidate, on sixteen rows."""
    store = MinioStore(s3)
    numbers = range(16)
    rows = held_out_parquet(
        {
            "record_id": [f"row-{number}" for number in numbers],
            "segment": ["arithmetic"] * len(numbers),
            "prompt": [f"What is {number} plus one?" for number in numbers],
            "answer": [f"It is {number + 1}." for number in numbers],
        }
    )
    return CandidateRegistered(
        campaign_id=campaign,
        application=campaign,
        candidate=ModelVersion(
            digest=f"candidate-of-{campaign}",
            base_digest=sha256_of_file(WEIGHTS),
            merged=store.put_file(weights, "application/octet-stream"),
        ),
        held_out=store.put(rows, "application/vnd.apache.parquet"),
        gate=Gate(generated_rows=2),
    )


def test_an_event_becomes_one_verdict_though_it_comes_twice_and_the_process_is_killed(
    evaluation: Evaluation, brokers: str, s3: S3Settings
) -> None:
    campaign = f"test-{uuid4().hex[:12]}"
    event = request(s3, campaign)
    send(brokers, event, event)
    eventually(evaluation.scoring, within_s=60)

    evaluation.kill()
    evaluation.start()
    [verdict] = wait_for(brokers, EVALUATION_COMPLETED, campaign)

    [segment] = verdict.segments
    metrics = {entry.metric: entry for entry in segment.metrics}
    assert not verdict.passed  # the same weights gain nothing
    assert verdict.reference_digest == event.candidate.base_digest
    assert (segment.segment, segment.rows) == ("arithmetic", 16)
    assert set(metrics) == {"answer_loss", "perplexity", "rouge_l", "bleu", "chrf", "exact_match"}
    assert metrics["answer_loss"].difference.estimate == pytest.approx(0, abs=1e-9)
    assert metrics["rouge_l"].difference.n == 2
    assert b'"record_id": "row-0"' in MinioStore(s3).get(verdict.report, 10**6)


def test_weights_that_are_a_pickle_are_refused_and_the_campaign_hears_why(
    evaluation: Evaluation, brokers: str, s3: S3Settings, tmp_path: Path
) -> None:
    campaign = f"test-{uuid4().hex[:12]}"
    event = request(s3, campaign, WEIGHTS)
    pickled = pickle.dumps({"model.embed_tokens.weight": [0.0] * 1000})
    event.candidate.merged.CopyFrom(MinioStore(s3).put(pickled, "application/octet-stream"))
    event.reference.CopyFrom(event.candidate)  # read first: nothing is scored

    send(brokers, event)

    [failure] = wait_for(brokers, EVALUATION_FAILED, campaign)
    assert failure.code == "not_safetensors"


def send(brokers: str, *events: CandidateRegistered) -> None:
    sink = KafkaSink(KafkaSettings(brokers=brokers))
    for event in events:
        sink.send(CANDIDATE_REGISTERED, event)
    sink.flush()


def wait_for(brokers: str, topic: Topic[E], campaign: str) -> list[E]:
    """All events of a campaign on a topic: the first, and what follows it within seconds."""
    source = KafkaSource(KafkaSettings(brokers=brokers), f"reader-{campaign}", [topic.name])
    found: list[E] = []

    def arrived() -> bool:
        records = [r for r in source.poll(500, 0.5) if r.key == campaign.encode()]
        found.extend(topic.event.FromString(record.value or b"") for record in records)
        return bool(found)

    eventually(arrived, within_s=SCORED_WITHIN_S)
    for _ in range(6):
        arrived()
    source.close()
    return found
