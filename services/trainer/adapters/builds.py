"""Engine builds in SQL: as durable jobs, found by application and model, told of in the outbox."""

from collections.abc import Mapping
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

from libs.events.topics import ENGINE_BUILT, ENGINE_FAILED, ENGINE_STALE
from libs.faults import Poison
from libs.sql.engine import insert_once, reader
from libs.sql.job import Job, JobState, job_of
from libs.sql.jobs import Jobs
from libs.sql.outbox import OutboxSink
from protos.common.v1.common_pb2 import Artifact
from protos.training.v1.training_events_pb2 import EngineBuilt, EngineRequested, EngineStale
from services.trainer.adapters.sql import announce
from services.trainer.adapters.tables import (
    BUILDS,
    ENDED_CAMPAIGNS,
    ENGINES,
    KEPT,
    OUTBOX,
    RUNS,
)
from services.trainer.wire import building, training


def announce_build(connection: Connection, job: Job) -> None:
    """Tell of a build's end, in the transaction that ends it."""
    outbox = OutboxSink(connection, OUTBOX)
    if job.state is not JobState.COMPLETED:
        log = connection.scalar(sa.select(KEPT.c.value).where(KEPT.c.key == f"log/{job.key}"))
        try:
            told = building.failed(job, None if log is None else Artifact.FromString(log))
        except Poison:
            return  # nobody's request; the job's row tells of it
        outbox.send(ENGINE_FAILED, told)
        return
    made = EngineBuilt.FromString(job.result)
    outbox.send(ENGINE_BUILT, made)
    found = {
        "runtime": made.engine.runtime,
        "runtime_version": made.engine.runtime_version,
        "passed": made.passed,
    }
    connection.execute(ENGINES.update().where(ENGINES.c.build_id == job.key).values(found))


def tell_stale(engine: Engine, versions: Mapping[str, str]) -> int:
    """Tell of every passed engine that was built for another version of its runtime than the
    one in ``versions``; once per engine and version. Returns how many."""
    told = 0
    with engine.begin() as connection:
        outbox = OutboxSink(connection, OUTBOX)
        for runtime, version in versions.items():
            old = sa.and_(
                ENGINES.c.runtime == runtime,
                ENGINES.c.passed,
                ENGINES.c.runtime_version != version,
                ENGINES.c.told_version != version,
            )
            builds = sa.select(BUILDS.c.result).join(ENGINES, ENGINES.c.build_id == BUILDS.c.key)
            for result in connection.scalars(builds.where(old).order_by(BUILDS.c.seq)).all():
                made = EngineBuilt.FromString(result)
                outbox.send(
                    ENGINE_STALE,
                    EngineStale(
                        application=made.application,
                        model_digest=made.model_digest,
                        engine_digest=made.engine.digest,
                        runtime=runtime,
                        built_version=made.engine.runtime_version,
                        current_version=version,
                    ),
                )
                told += 1
            connection.execute(ENGINES.update().where(old).values(told_version=version))
    return told


@dataclass(frozen=True, slots=True)
class SqlBuilds:
    engine: Engine
    jobs: Jobs

    def submit(self, key: str, payload: bytes) -> bool:
        request = EngineRequested.FromString(payload)
        row = {
            "build_id": key,
            "application": request.application,
            "model_digest": request.model.digest,
            "runtime": "",
            "runtime_version": "",
            "passed": False,
            "told_version": "",
        }
        with self.engine.begin() as connection:
            insert_once(connection, ENGINES, row)
        return self.jobs.submit(key, payload)

    def get(self, key: str) -> Job | None:
        return self.jobs.get(key)

    def cancel(self, key: str, reason: str) -> Job | None:
        return self.jobs.request_cancel(key, reason, also=announce_build)

    def newest(self, application: str, model_digest: str, limit: int) -> list[Job]:
        wanted = ENGINES.c.application == application
        if model_digest:
            wanted = sa.and_(wanted, ENGINES.c.model_digest == model_digest)
        statement = (
            sa.select(BUILDS)
            .join(ENGINES, ENGINES.c.build_id == BUILDS.c.key)
            .where(wanted)
            .order_by(BUILDS.c.seq.desc())
            .limit(limit)
        )
        with reader(self.engine).connect() as connection:
            return [job_of(row) for row in connection.execute(statement)]


@dataclass(frozen=True, slots=True)
class SqlShelf:
    engine: Engine

    def keep(self, key: str, value: bytes) -> None:
        with self.engine.begin() as connection:
            connection.execute(KEPT.delete().where(KEPT.c.key == key))
            connection.execute(KEPT.insert(), {"key": key, "value": value})

    def kept(self, key: str) -> bytes | None:
        with reader(self.engine).connect() as connection:
            found: bytes | None = connection.scalar(
                sa.select(KEPT.c.value).where(KEPT.c.key == key)
            )
        return found

    def drop(self, key: str) -> None:
        with self.engine.begin() as connection:
            connection.execute(KEPT.delete().where(KEPT.c.key == key))


@dataclass(frozen=True, slots=True)
class SqlCampaigns:
    engine: Engine
    runs: Jobs
    builds: Jobs

    def end(self, campaign_id: str) -> list[str]:
        with self.engine.begin() as connection:
            insert_once(connection, ENDED_CAMPAIGNS, {"campaign_id": campaign_id})
        reason = f"campaign {campaign_id} has ended"
        runs = [
            job.key
            for job in self._open(RUNS)
            if training.request_of(job).campaign_id == campaign_id
        ]
        builds = [
            job.key
            for job in self._open(BUILDS)
            if building.request_of(job).campaign_id == campaign_id
        ]
        for key in runs:
            self.runs.request_cancel(key, reason, also=announce)
        for key in builds:
            self.builds.request_cancel(key, reason, also=announce_build)
        return runs + builds

    def ended(self, campaign_id: str) -> bool:
        found = sa.select(ENDED_CAMPAIGNS).where(ENDED_CAMPAIGNS.c.campaign_id == campaign_id)
        with reader(self.engine).connect() as connection:
            return connection.execute(found).first() is not None

    def _open(self, table: sa.Table) -> list[Job]:
        unended = table.c.state.in_([JobState.QUEUED, JobState.RUNNING])
        with reader(self.engine).connect() as connection:
            return [job_of(row) for row in connection.execute(sa.select(table).where(unended))]
