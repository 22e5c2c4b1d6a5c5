"""States in SQL: a small blob a batch, what the reference gave for good once."""

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

import sqlalchemy as sa
import structlog
from sqlalchemy.engine import Connection, Engine

from libs.faults import Fatal
from libs.kafka.record import Sink
from libs.sql.engine import insert_once, reader
from libs.sql.outbox import OutboxSink, add_outbox
from services.monitor.adapters.blob import freeze, thaw
from services.monitor.domain.application import Application
from services.monitor.domain.features import KernelFeatures, Points
from services.monitor.domain.fitting import Fit
from services.monitor.domain.release import Release
from services.monitor.domain.watch import Watch

log = structlog.get_logger()

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


@dataclass(frozen=True, slots=True)
class Constants:
    """What a watch never changes once it has it, most of its bytes."""

    fit: Fit = field(default_factory=Fit)
    features: KernelFeatures | None = None
    calibration: Points | None = None


Fitted = dict[tuple[str, str], Constants]


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
            constants = _constants(release.watch)
            if constants is not None:
                self._fitted[name, digest] = constants
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
            constants = _constants(release.watch)
            values: dict[str, object] = {"place": kept.index(digest)}
            if constants is None:
                values["fit"] = None
            elif not _same(constants, self._fitted.get((state.name, digest))):
                values["fit"] = freeze(constants)
                fitted[state.name, digest] = constants
            values["state"] = freeze(_without(release))
            same = here & (table.c.digest == digest)
            if connection.execute(table.update().where(same).values(values)).rowcount == 0:
                row = {"application": state.name, "digest": digest, **values}
                connection.execute(table.insert(), row)
        return fitted


def _release(state: bytes, fit: bytes | None) -> Release:
    """One that another version stored in another form begins anew."""
    try:
        return _thawed(state, fit)
    except (KeyError, TypeError, ValueError) as error:
        log.warning("release.begins_anew", error=str(error))
        return Release()


def _thawed(state: bytes, fit: bytes | None) -> Release:
    release = thaw(Release, state)
    if release.watch is None or fit is None:
        return release
    constants = thaw(Constants, fit)
    release.watch.fit = constants.fit
    for signal in release.watch.signals:
        if signal.learned is not None and constants.features and constants.calibration:
            signal.learned.features = constants.features
            signal.learned.calibration = constants.calibration
    return release


def _constants(watch: Watch | None) -> Constants | None:
    if watch is None or watch.fit is None:
        return None
    for signal in watch.signals:
        if signal.learned is not None:
            return Constants(watch.fit, signal.learned.features, signal.learned.calibration)
    return Constants(watch.fit)


def _same(one: Constants, other: Constants | None) -> bool:
    """The very same objects."""
    return other is not None and one.fit is other.fit and one.features is other.features


def _without(release: Release) -> Release:
    """The release without its constants; the fold goes on with its own."""
    if release.watch is None:
        return release
    signals = [
        dataclasses.replace(signal, learned=signal.learned.bare()) if signal.learned else signal
        for signal in release.watch.signals
    ]
    watch = dataclasses.replace(release.watch, fit=None, signals=signals)
    return dataclasses.replace(release, watch=watch)
