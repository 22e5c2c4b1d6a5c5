"""Alembic at start: a service brings its own tables up to date before it opens a door (`part`).

A service keeps ``migrations/__init__.py``, ``migrations/env.py`` and ``migrations/versions/
m0001_*.py``. The whole of ``env.py`` is::

    from libs.sql.migrate import run_migrations

    run_migrations()

and a first version, with this library's tables beside the service's own::

    revision, down_revision = "0001", None

    def upgrade() -> None:
        op.create_table("outbox", *outbox.columns_v1(), sqlite_autoincrement=True)
        op.create_table("jobs", *job.columns_v1(), sqlite_autoincrement=True)
"""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa
from alembic import autogenerate, command, context
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from sqlalchemy.engine import Connection, Engine


def upgrade(engine: Engine, package: str, revision: str = "head") -> None:
    """Bring the store to the newest revision of ``package``'s migrations, or up to ``revision``;
    nothing when it is.

    One transaction: all of it happened, or none. Processes that start together take turns.

    Raises:
        Retryable: the store is away.
    """
    config = Config()
    config.set_main_option("script_location", f"{package}:migrations")
    with _alone(engine, package) as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, revision)


def run_migrations() -> None:
    """The body of every ``migrations/env.py``."""
    connection: Connection = context.config.attributes["connection"]
    context.configure(connection=connection, render_as_batch=True)
    context.run_migrations()


def differences(engine: Engine, metadata: sa.MetaData) -> list[Any]:
    """What the store's tables lack or have too much against ``metadata``; for tests."""
    with engine.connect() as connection:
        found: list[Any] = autogenerate.compare_metadata(
            MigrationContext.configure(connection), metadata
        )
    return found


@contextmanager
def _alone(engine: Engine, package: str) -> Iterator[Connection]:
    """A transaction that no other upgrade runs beside."""
    with engine.connect() as connection:
        if engine.dialect.name == "sqlite":
            # SQLite rebuilds a table to alter it; the references must not fire meanwhile,
            # and the switch has no effect inside a transaction.
            _foreign_keys(connection, "OFF")
        try:
            with connection.begin():
                if engine.dialect.name == "postgresql":
                    key = int.from_bytes(hashlib.sha256(package.encode()).digest()[:8], signed=True)
                    connection.execute(sa.select(sa.func.pg_advisory_xact_lock(key)))
                yield connection
        finally:
            if engine.dialect.name == "sqlite":
                _foreign_keys(connection, "ON")


def _foreign_keys(connection: Connection, switch: str) -> None:
    dbapi_connection = connection.connection.dbapi_connection
    assert dbapi_connection is not None
    dbapi_connection.execute(f"PRAGMA foreign_keys={switch}")
