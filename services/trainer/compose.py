"""The trainer's composition root."""

from typing import Final

from libs.artifacts.minio import MinioStore
from libs.events.topics import TRAINING_REQUESTED
from libs.faults import Fatal
from libs.kafka.confluent import KafkaSink
from libs.kafka.consumer import Route
from libs.kafka.part import Consumer
from libs.rpc.server import RpcServer
from libs.runtime.clock import SystemClock
from libs.runtime.service import Service
from libs.sql.engine import connect
from libs.sql.jobs import Jobs
from libs.sql.migrate import upgrade
from libs.sql.relay import OutboxRelay
from libs.sql.worker import Hooks, JobWorker, Pace
from services.trainer.adapters.process import SftProcess, guard
from services.trainer.adapters.sql import SqlDiary, SqlRuns, announce
from services.trainer.adapters.tables import OUTBOX, RUNS
from services.trainer.config import Settings
from services.trainer.handlers import Attempt, Cancel, Get, OnTrainingRequested, Submit, Workshop
from services.trainer.rpc import SERVICE, TrainingServicer

BASE_FILES: Final = ("config.json", "model.safetensors", "tokenizer.json", "chat_template.jinja")


def build() -> Service:
    settings = Settings()  # type: ignore[call-arg]  # from the environment
    engine = connect(settings.sql.url)
    upgrade(engine, "services.trainer")
    jobs = Jobs(engine, RUNS, SystemClock())
    runs = SqlRuns(jobs)
    relay_sink = KafkaSink(settings.kafka)
    letters_sink = KafkaSink(settings.kafka)
    attempt = Attempt(
        workshop(settings),
        MinioStore(settings.s3),
        SqlDiary(engine),
        SftProcess(settings.model_python, settings.threads),
        guard,
    )
    pace = Pace(lease_s=settings.lease_s, heartbeat_s=settings.heartbeat_s)
    servicer = TrainingServicer(Submit(runs), Get(runs), Cancel(runs))
    token = settings.operator_token.get_secret_value()
    return Service(
        "trainer",
        settings,
        [
            relay_sink,
            OutboxRelay(engine, OUTBOX, relay_sink),
            letters_sink,
            JobWorker("trainer.worker", jobs, attempt, Hooks(ended=announce), pace),
            RpcServer(settings.rpc, servicer.register, [SERVICE], token),
            Consumer.of(
                settings.kafka,
                group="trainer",
                routes=[Route(TRAINING_REQUESTED, OnTrainingRequested(runs))],
                sink=letters_sink,
            ),
        ],
    )


def workshop(settings: Settings) -> Workshop:
    """Where this host trains.

    Raises:
        Fatal: the base model is not there; no run could ever succeed.
    """
    for name in BASE_FILES:
        if not (settings.base_model / name).is_file():
            raise Fatal(f"the base model {settings.base_model} has no {name}")
    return Workshop(
        runs_dir=settings.state_dir / "runs",
        base_model=settings.base_model.resolve(),
        max_tokens=settings.max_tokens,
        threads=settings.threads,
        precision=settings.precision,
    )
