"""Runs and their diary in SQL; events leave through the outbox."""

from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

from libs.events.topics import TRAINING_COMPLETED, TRAINING_FAILED, E, Topic
from libs.sql.engine import insert_once, reader
from libs.sql.job import Job
from libs.sql.jobs import Jobs
from libs.sql.outbox import OutboxSink
from protos.common.v1.common_pb2 import Artifact
from protos.training.v1.training_events_pb2 import TrainingCompleted
from services.trainer.adapters.tables import CHECKPOINTS, OUTBOX
from services.trainer.wire import training


def announce(connection: Connection, job: Job) -> None:
    """Tell of a run's end, in the transaction that ends it; its checkpoints are done with."""
    event = training.ending(job)
    outbox = OutboxSink(connection, OUTBOX)
    if isinstance(event, TrainingCompleted):
        outbox.send(TRAINING_COMPLETED, event)
    else:
        outbox.send(TRAINING_FAILED, event)
    connection.execute(CHECKPOINTS.delete().where(CHECKPOINTS.c.run_id == job.key))


@dataclass(frozen=True, slots=True)
class SqlRuns:
    """The runs as durable jobs."""

    jobs: Jobs

    def submit(self, key: str, payload: bytes) -> bool:
        return self.jobs.submit(key, payload)

    def get(self, key: str) -> Job | None:
        return self.jobs.get(key)

    def cancel(self, key: str, reason: str) -> Job | None:
        return self.jobs.request_cancel(key, reason, also=announce)


@dataclass(frozen=True, slots=True)
class SqlDiary:
    engine: Engine

    def tell(self, topic: Topic[E], event: E) -> None:
        with self.engine.begin() as connection:
            OutboxSink(connection, OUTBOX).send(topic, event)

    def keep_checkpoint(self, run_id: str, step: int, artifact: Artifact) -> None:
        row = {"run_id": run_id, "step": step, "artifact": artifact.SerializeToString()}
        with self.engine.begin() as connection:
            insert_once(connection, CHECKPOINTS, row)

    def checkpoint(self, run_id: str) -> Artifact | None:
        newest = (
            sa.select(CHECKPOINTS.c.artifact)
            .where(CHECKPOINTS.c.run_id == run_id)
            .order_by(CHECKPOINTS.c.step.desc())
            .limit(1)
        )
        with reader(self.engine).connect() as connection:
            found = connection.scalar(newest)
        return None if found is None else Artifact.FromString(found)
