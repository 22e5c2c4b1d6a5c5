"""Evaluation's composition root."""

from libs.artifacts.minio import MinioStore
from libs.events.topics import CANDIDATE_REGISTERED
from libs.kafka.confluent import KafkaSink
from libs.kafka.consumer import Route
from libs.kafka.part import Consumer
from libs.runtime.clock import SystemClock
from libs.runtime.service import Service
from libs.sql.engine import connect
from libs.sql.jobs import Jobs
from libs.sql.part import Database
from libs.sql.relay import OutboxRelay
from libs.sql.worker import Hooks, JobWorker, Pace
from services.evaluation.adapters.announce import announce
from services.evaluation.adapters.cache import ScoreCache
from services.evaluation.adapters.files import KeepInStore
from services.evaluation.adapters.held_out import ReadHeldOut
from services.evaluation.adapters.scoring import Bench, ScoreOnBench
from services.evaluation.adapters.tables import JOBS, OUTBOX
from services.evaluation.config import Settings
from services.evaluation.handlers import Evaluate, OnCandidateRegistered


def build() -> Service:
    return build_with(Settings())  # type: ignore[call-arg]  # from the environment


def build_with(settings: Settings) -> Service:
    engine = connect(settings.sql.url)
    jobs = Jobs(engine, JOBS, SystemClock())
    store = MinioStore(settings.s3)
    bench = Bench(
        python=settings.model_python.absolute(),
        base_model=settings.base_model.absolute(),
        work_dir=settings.state_dir.absolute() / "scoring",
        threads=settings.threads,
        timeout_s=settings.score_timeout_s,
    )
    score = ScoreOnBench(store, ScoreCache(engine, store), bench)
    evaluate = Evaluate(ReadHeldOut(store), score, KeepInStore(store), SystemClock())
    worker = JobWorker(jobs, evaluate, Hooks(ended=announce), Pace(lease_s=settings.lease_s))
    relay_sink, dead_letters = KafkaSink(settings.kafka), KafkaSink(settings.kafka)
    return Service(
        "evaluation",
        settings,
        [
            Database(engine, "services.evaluation"),
            relay_sink,
            dead_letters,
            OutboxRelay(engine, OUTBOX, relay_sink),
            worker.part("evaluation.worker"),
            Consumer.of(
                settings.kafka,
                group="evaluation",
                routes=[Route(CANDIDATE_REGISTERED, OnCandidateRegistered(jobs.submit))],
                sink=dead_letters,
            ),
        ],
    )
