"""`ports.Store` on SQL: one transaction keeps the state and the events that tell of it."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine, Row

from libs.events import codec
from libs.events.topics import E, Topic
from libs.runtime.clock import Clock
from libs.sql.engine import insert_once
from libs.sql.outbox import OutboxSink
from protos.registry.v1.registry_events_pb2 import CampaignTransitioned
from services.registry.adapters.rows import one, put, utc
from services.registry.adapters.shelf import SqlShelf
from services.registry.adapters.tables import (
    API_KEYS,
    APPLICATIONS,
    CAMPAIGNS,
    DATASETS,
    INPUTS,
    MODELS,
    OUTBOX,
    RELEASES,
    ROUTING,
    TRANSITIONS,
)
from services.registry.domain.campaign import ENDS, Campaign, State
from services.registry.domain.canonical import dumps, loads
from services.registry.domain.routing import Table
from services.registry.domain.values import Application, Dataset, Model, Release
from services.registry.ports import Applied, KeptCampaign, Work

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class SqlStore:
    engine: Engine
    clock: Clock

    @contextmanager
    def write(self, application: str) -> Iterator[Work]:
        with self.engine.begin() as connection:
            # Writers of one application take turns; on SQLite all of them do.
            name = APPLICATIONS.c.name
            connection.execute(sa.select(name).where(name == application).with_for_update()).all()
            yield SqlWork(connection, application, self.clock)


@dataclass(frozen=True, slots=True)
class SqlWork:
    """`ports.Work` over an open transaction."""

    connection: Connection
    application: str
    clock: Clock

    @property
    def shelf(self) -> SqlShelf:
        return SqlShelf(self.connection, self.application, self.clock)

    def send(self, topic: Topic[E], event: E) -> str:
        return OutboxSink(self.connection, OUTBOX).send(topic, event)

    def applied(self) -> Applied | None:
        row = one(self.connection, APPLICATIONS, APPLICATIONS.c.name == self.application)
        return applied_of(row) if row else None

    def apply(self, applied: Applied) -> None:
        put(
            self.connection,
            APPLICATIONS,
            {"name": self.application},
            revision=applied.revision,
            spec=dumps(applied.application),
            applied_at=self.clock.now(),
        )

    def table(self) -> Table:
        row = one(self.connection, ROUTING, ROUTING.c.application == self.application)
        return loads(Table, row.spec) if row else Table(self.application)

    def set_table(self, table: Table) -> None:
        key = {"application": self.application}
        put(self.connection, ROUTING, key, version=table.version, spec=dumps(table))

    def add_key(self, sha256: str) -> None:
        row = {"application": self.application, "sha256": sha256, "created_at": self.clock.now()}
        self.connection.execute(API_KEYS.insert(), row)

    def revoke_key(self, sha256: str) -> bool:
        valid = sa.and_(self._valid_keys(), API_KEYS.c.sha256 == sha256)
        revoked = API_KEYS.update().where(valid).values(revoked_at=self.clock.now())
        return self.connection.execute(revoked).rowcount == 1

    def keys(self) -> tuple[str, ...]:
        found = sa.select(API_KEYS.c.sha256).where(self._valid_keys())
        return tuple(sorted(self.connection.scalars(found)))

    def campaign(self, campaign_id: str) -> KeptCampaign | None:
        row = one(self.connection, CAMPAIGNS, CAMPAIGNS.c.campaign_id == campaign_id)
        return campaign_of(row) if row else None

    def keep(self, campaign: KeptCampaign) -> None:
        state = campaign.state
        put(
            self.connection,
            CAMPAIGNS,
            {"campaign_id": state.campaign_id},
            application=campaign.application,
            state=state.state.value,
            sequence=state.sequence,
            tested=state.tested,
            spec=dumps(state),
            sha256=campaign.sha256,
            pending=[list(each) for each in campaign.pending],
            started_at=campaign.started_at,
        )

    def active_campaign(self) -> str:
        c = CAMPAIGNS.c
        running = sa.and_(
            c.application == self.application,
            c.sequence > 0,
            c.state.not_in([state.value for state in ENDS]),
        )
        found = sa.select(c.campaign_id).where(running).order_by(c.seq).limit(1)
        return self.connection.scalar(found) or ""

    def tests(self) -> tuple[int, int]:
        c = CAMPAIGNS.c
        tested = sa.and_(c.application == self.application, c.tested)
        count = sa.select(sa.func.count()).select_from(CAMPAIGNS)
        promoted = sa.and_(tested, c.state == State.PROMOTED.value)
        return (
            self.connection.scalar(count.where(tested)) or 0,
            self.connection.scalar(count.where(promoted)) or 0,
        )

    def taken(self, campaign_id: str, event_id: str) -> bool:
        same = sa.and_(INPUTS.c.campaign_id == campaign_id, INPUTS.c.event_id == event_id)
        return one(self.connection, INPUTS, same) is not None

    def take(self, campaign_id: str, event_id: str) -> None:
        row = {"campaign_id": campaign_id, "event_id": event_id}
        insert_once(self.connection, INPUTS, row)

    def keep_transition(self, event: CampaignTransitioned) -> None:
        row = {
            "campaign_id": event.campaign_id,
            "sequence": event.sequence,
            "event": codec.encode(event),
        }
        self.connection.execute(TRANSITIONS.insert(), row)

    def keep_dataset(self, campaign_id: str, dataset: Dataset) -> None:
        self._add(DATASETS, campaign_id, dataset.dataset_digest, dataset)

    def keep_model(self, campaign_id: str, model: Model) -> None:
        self._add(MODELS, campaign_id, model.digest, model)

    def keep_release(self, campaign_id: str, release: Release, dataset_digest: str) -> None:
        self._add(RELEASES, campaign_id, release.digest, release, dataset_digest=dataset_digest)

    def model(self, digest: str) -> Model | None:
        return self._found(MODELS, digest, Model)

    def release(self, digest: str) -> Release | None:
        return self._found(RELEASES, digest, Release)

    def dataset(self, digest: str) -> Dataset | None:
        return self._found(DATASETS, digest, Dataset)

    def _found(self, table: sa.Table, digest: str, kind: type[T]) -> T | None:
        mine = sa.and_(table.c.application == self.application, table.c.digest == digest)
        row = one(self.connection, table, mine)
        return loads(kind, row.spec) if row else None

    def _valid_keys(self) -> sa.ColumnElement[bool]:
        mine = API_KEYS.c.application == self.application
        return sa.and_(mine, API_KEYS.c.revoked_at.is_(None))

    def _add(
        self, table: sa.Table, campaign_id: str, digest: str, value: object, **more: str
    ) -> None:
        """Keep an immutable thing by its digest; the first campaign that made it stays."""
        row = {
            "application": self.application,
            "digest": digest,
            "campaign_id": campaign_id,
            "spec": dumps(value),
            "created_at": self.clock.now(),
        }
        insert_once(self.connection, table, row | more)


def applied_of(row: Row[Any]) -> Applied:
    return Applied(loads(Application, row.spec), row.revision)


def campaign_of(row: Row[Any]) -> KeptCampaign:
    return KeptCampaign(
        application=row.application,
        state=loads(Campaign, row.spec),
        sha256=row.sha256,
        started_at=utc(row.started_at),
        pending=tuple((topic, event_id) for topic, event_id in row.pending),
    )
