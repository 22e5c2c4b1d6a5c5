"""SQLite on a laptop and PostgreSQL in production, behind one SQLAlchemy engine."""

import sqlite3
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import psycopg
import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import URL, Connection, Engine, ExceptionContext, make_url
from sqlalchemy.pool import StaticPool

from libs.faults import Fatal, Retryable, StoreAway

BUSY_S: Final = 10.0
"""How long a writer waits for another one before it is told to come again."""
READ_ONLY: Final = "perennial_read_only"
SEQUENCE: Final = sa.BigInteger().with_variant(sa.Integer, "sqlite")
"""Column type of a growing primary key; ask for ``autoincrement=True`` with it."""

_PRAGMAS: Final = (
    f"busy_timeout={int(BUSY_S * 1000)}",
    "synchronous=FULL",
    "foreign_keys=ON",
)
_AGAIN_S: Final = 0.005
_TOO_MUCH: Final = "54"
"""Class of the SQL states of a statement beyond the server's limits: it alone is to blame."""
_SQLITE_AWAY: Final = ("locked", "busy", "disk i/o error", "unable to open", "is full")


def connect(url: str) -> Engine:
    """An engine over ``sqlite:///file``, ``sqlite://`` (in memory) or ``postgresql://...``.

    A transaction writes unless it is opened through ``reader(engine)``: on SQLite a writer
    takes the lock at its beginning, so that it never fails half-way. Times are UTC.
    When the store is away (unreachable, locked, full, shutting down, a deadlock or a
    serialisation failure) a statement raises StoreAway; any other SQL error is a bug.

    Raises:
        Fatal: the URL names another database.
    """
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite":
        return _sqlite(parsed)
    if parsed.get_backend_name() == "postgresql":
        return _postgresql(parsed.set(drivername="postgresql+psycopg"))
    raise Fatal(f"{parsed.drivername} is not a store that is known: use sqlite or postgresql")


def reader(engine: Engine) -> Engine:
    """The same engine for transactions that only read: they never wait for a writer."""
    return engine.execution_options(**{READ_ONLY: True})


def insert_once(connection: Connection, table: sa.Table, values: Mapping[str, Any]) -> bool:
    """Insert a row unless one with the same unique key is there; True when it was inserted."""
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    statement = dialect.insert(table).values(dict(values)).on_conflict_do_nothing()
    return connection.execute(statement.returning(sa.literal(1))).first() is not None


def _sqlite(url: URL) -> Engine:
    if url.database in {None, "", ":memory:"}:
        engine = sa.create_engine(
            url, poolclass=StaticPool, connect_args={"check_same_thread": False}
        )
    else:
        Path(str(url.database)).parent.mkdir(parents=True, exist_ok=True)
        engine = sa.create_engine(url, pool_size=8, max_overflow=8)

    @event.listens_for(engine, "connect")
    def prepare(dbapi_connection: Any, _record: object) -> None:
        dbapi_connection.isolation_level = None  # "begin" below is the only one to begin
        for pragma in _PRAGMAS:
            dbapi_connection.execute(f"PRAGMA {pragma}")
        _write_ahead(dbapi_connection)

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        read_only = connection.get_execution_options().get(READ_ONLY, False)
        connection.exec_driver_sql("BEGIN" if read_only else "BEGIN IMMEDIATE")

    event.listen(engine, "handle_error", _sqlite_away, retval=True)
    return engine


def _write_ahead(connection: sqlite3.Connection) -> None:
    """Switch to a write-ahead log. Several that open a new file at once get "locked" without
    SQLite's own wait: two that hold a read lock and want to write would wait for ever."""
    until = time.monotonic() + BUSY_S
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > until:
                raise
            time.sleep(_AGAIN_S)


def _postgresql(url: URL) -> Engine:
    engine = sa.create_engine(
        url,
        pool_pre_ping=True,
        pool_size=8,
        max_overflow=8,
        connect_args={
            "connect_timeout": int(BUSY_S),
            "options": f"-c timezone=UTC -c lock_timeout={int(BUSY_S * 1000)}",
        },
    )
    event.listen(engine, "handle_error", _postgresql_away, retval=True)
    return engine


def _sqlite_away(context: ExceptionContext) -> Exception | None:
    error = context.original_exception
    text = str(error).lower()
    if isinstance(error, sqlite3.OperationalError) and any(sign in text for sign in _SQLITE_AWAY):
        return StoreAway(f"SQLite: {error}")
    return None


def _postgresql_away(context: ExceptionContext) -> Exception | None:
    error = context.original_exception
    # psycopg: what the server or the network did is an OperationalError, what the
    # statement did is a ProgrammingError, DataError or IntegrityError.
    if isinstance(error, psycopg.Error) and (error.sqlstate or "").startswith(_TOO_MUCH):
        return Retryable(f"PostgreSQL: {error}")
    if context.is_disconnect or isinstance(error, psycopg.OperationalError):
        return StoreAway(f"PostgreSQL: {error}")
    return None
