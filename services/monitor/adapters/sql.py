"""States in SQL: a small blob a batch, the reference's fit once."""

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

from libs.faults import Fatal
from libs.kafka.record import Sink
from libs.sql.engine import insert_once, reader
from libs.sql.outbox import OutboxSink, add_outbox
from services.monitor.adapters.blob import freeze, thaw
from services.monitor.domain.application import Application
from services.monitor.domain.fitting import Fit
from services.monitor.domain.release import Release

METADATA: Final = sa.MetaData()
APPLICATIONS: Final = sa.Table(
    "applications",
    METADATA,
    sa.Column("name", sa.String(63), primary_key=True),
    sa.Column("version", sa.BigInteger, nullable=False),
    sa.Column("state", sa.LargeBinary, nullable=False),
)
RELEASES: Final = sa.Table(
    "releases",
    METADATA,
    sa.Column("application", sa.String(63), primary_key=True),
    sa.Column("digest", sa.String(128), primary_key=True),
    sa.Column("place", sa.Integer, nullable=False),
    sa.Column("state", sa.LargeBinary, nullable=False),
    sa.Column("fit", sa.LargeBinary),
)
OUTBOX: Final = add_outbox(METADATA)

Fitted = dict[tuple[str, str], Fit]


@dataclass(frozen=True, slots=True)
class Read:
    """A state as it was stored; ``size`` in bytes."""

    version: int
    state: Application
    size: int


def read(connection: Connection, name: str) -> Read | None:
    """The newest stored state, thawed; None when there is none."""
    found = connection.execute(
        sa.select(APPLICATIONS).where(APPLICATIONS.c.name == name)
    ).one_or_none()
    if found is None:
        return None
    rows = connection.execute(
        sa.select(RELEASES).where(RELEASES.c.application == name).order_by(RELEASES.c.place)
    ).all()
    state = thaw(Application, found.state)
    state.releases = {row.digest: _release(row.state, row.fit) for row in rows}
    size = len(found.state) + sum(len(row.state) + len(row.fit or b"") for row in rows)
    return Read(found.version, state, size)


class SqlStates:
    """`ports.States` over SQLite or PostgreSQL.

    The version of each state that this process loaded or stored last is remembered: when a
    row has another one, the application's partition moved away and back, and what is in
    memory is stale.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._reader = reader(engine)
        self._versions: dict[str, int] = {}
        self._fitted: Fitted = {}

    def load(self, name: str) -> Application | None:
        with self._reader.connect() as connection:
            found = read(connection, name)
        if found is None:
            return None
        self._versions[name] = found.version
        for digest, release in found.state.releases.items():
            if release.watch is not None and release.watch.fit is not None:
                self._fitted[name, digest] = release.watch.fit
        return found.state

    def store(self, states: Sequence[Application], send: Callable[[Sink], None]) -> None:
        fitted: Fitted = {}
        with self._engine.begin() as connection:
            for state in states:
                self._store_application(connection, state)
                fitted |= self._store_releases(connection, state)
            send(OutboxSink(connection, OUTBOX))
        self._fitted |= fitted
        for state in states:
            self._versions[state.name] = self._versions.get(state.name, 0) + 1
            state.touched.clear()

    def _store_application(self, connection: Connection, state: Application) -> None:
        blob = freeze(dataclasses.replace(state, releases={}))
        known = self._versions.get(state.name)
        if known is None:
            row = {"name": state.name, "version": 1, "state": blob}
            stored = insert_once(connection, APPLICATIONS, row)
        else:
            table = APPLICATIONS
            mine = (table.c.name == state.name) & (table.c.version == known)
            values = {"version": known + 1, "state": blob}
            stored = connection.execute(table.update().where(mine).values(values)).rowcount == 1
        if not stored:
            raise Fatal(f"the state of {state.name} was stored by another process meanwhile")

    def _store_releases(self, connection: Connection, state: Application) -> Fitted:
        table, here = RELEASES, RELEASES.c.application == state.name
        kept = list(state.releases)
        connection.execute(table.delete().where(here & table.c.digest.not_in(kept)))
        fitted: Fitted = {}
        for digest in state.touched:
            release = state.releases[digest]
            watch = release.watch
            values: dict[str, object] = {"place": kept.index(digest)}
            if watch is None or watch.fit is None:
                values["fit"] = None
            elif self._fitted.get((state.name, digest)) is not watch.fit:
                values["fit"] = freeze(watch.fit)
                fitted[state.name, digest] = watch.fit
            if watch is not None:
                release = dataclasses.replace(release, watch=dataclasses.replace(watch, fit=None))
            values["state"] = freeze(release)
            same = here & (table.c.digest == digest)
            if connection.execute(table.update().where(same).values(values)).rowcount == 0:
                row = {"application": state.name, "digest": digest, **values}
                connection.execute(table.insert(), row)
        return fitted


def _release(state: bytes, fit: bytes | None) -> Release:
    release = thaw(Release, state)
    if release.watch is not None and fit is not None:
        release.watch.fit = thaw(Fit, fit)
    return release
