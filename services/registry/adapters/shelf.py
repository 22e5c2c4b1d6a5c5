"""`ports.Shelf` on SQL: prompts, approved providers, engines and their runtimes."""

from dataclasses import dataclass, replace
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from libs.events import codec
from libs.events.topics import ENGINE_BUILT
from libs.runtime.clock import Clock
from libs.sql.engine import insert_once
from protos.training.v1.training_events_pb2 import EngineBuilt
from services.registry.adapters.rows import one, put, utc
from services.registry.adapters.tables import APPROVALS, ENGINES, PROMPTS, RUNTIMES
from services.registry.domain.canonical import dumps, loads, sha256
from services.registry.domain.policies import Provider
from services.registry.domain.terms import identity
from services.registry.domain.values import Prompt
from services.registry.ports import Approval, KeptEngine, KeptPrompt


@dataclass(frozen=True, slots=True)
class SqlShelf:
    connection: Connection
    application: str
    clock: Clock

    def keep_prompt(self, prompt: Prompt, created_by: str) -> Prompt:
        for known in self._like(prompt):
            if known == replace(prompt, version=known.version):
                return known
        mine = PROMPTS.c.application == self.application
        last = self.connection.scalar(sa.select(sa.func.max(PROMPTS.c.version)).where(mine)) or 0
        kept = replace(prompt, version=last + 1)
        row = {
            "application": self.application,
            "version": kept.version,
            "content_sha256": _content(prompt),
            "spec": dumps(kept),
            "created_by": created_by,
            "created_at": self.clock.now(),
        }
        self.connection.execute(PROMPTS.insert(), row)
        return kept

    def declared_prompt(self, prompt: Prompt) -> Prompt:
        known = self._like(prompt)
        return known[-1] if known else self.keep_prompt(prompt, "")

    def prompt(self, version: int) -> Prompt | None:
        mine = PROMPTS.c.application == self.application
        row = one(self.connection, PROMPTS, sa.and_(mine, PROMPTS.c.version == version))
        return loads(Prompt, row.spec) if row else None

    def approve(self, approval: Approval) -> None:
        row = {
            "application": self.application,
            "identity_sha256": sha256(identity(approval.provider)),
            "spec": dumps(approval.provider),
            "campaign_id": approval.campaign_id,
            "operator": approval.operator,
            "reason": approval.reason,
            "approved_at": approval.at,
        }
        insert_once(self.connection, APPROVALS, row)

    def approvals(self) -> tuple[Approval, ...]:
        mine = APPROVALS.c.application == self.application
        found = sa.select(APPROVALS).where(mine).order_by(APPROVALS.c.seq)
        return tuple(map(approval_of, self.connection.execute(found)))

    def keep_engine(self, built: EngineBuilt) -> None:
        put(
            self.connection,
            ENGINES,
            {"application": self.application, "digest": built.engine.digest},
            runtime=built.engine.runtime,
            event=codec.encode(built),
            built_at=self.clock.now(),
        )
        if not built.reused:
            self.keep_runtime(built.engine.runtime, built.engine.runtime_version)

    def keep_runtime(self, runtime: str, version: str) -> None:
        # Two applications may tell of the same runtime at once.
        if not insert_once(self.connection, RUNTIMES, {"runtime": runtime, "version": version}):
            same = RUNTIMES.update().where(RUNTIMES.c.runtime == runtime)
            self.connection.execute(same.values(version=version))

    def runtime_version(self, runtime: str) -> str:
        row = one(self.connection, RUNTIMES, RUNTIMES.c.runtime == runtime)
        return row.version if row else ""

    def _like(self, prompt: Prompt) -> list[Prompt]:
        """Versions with the same template and variables, oldest first."""
        c = PROMPTS.c
        same = sa.and_(c.application == self.application, c.content_sha256 == _content(prompt))
        found = sa.select(c.spec).where(same).order_by(c.version)
        return [loads(Prompt, spec) for spec in self.connection.scalars(found)]


def _content(prompt: Prompt) -> str:
    return sha256(replace(prompt, version=0, max_characters=0))


def prompt_of(row: Row[Any]) -> KeptPrompt:
    return KeptPrompt(row.application, loads(Prompt, row.spec), row.created_by, utc(row.created_at))


def approval_of(row: Row[Any]) -> Approval:
    return Approval(
        provider=loads(Provider, row.spec),
        campaign_id=row.campaign_id,
        operator=row.operator,
        reason=row.reason,
        at=utc(row.approved_at),
    )


def engine_of(row: Row[Any]) -> KeptEngine:
    """Of a row of the engines beside their runtimes' versions."""
    return KeptEngine(codec.decode(ENGINE_BUILT, row.event), row.version or "", utc(row.built_at))
