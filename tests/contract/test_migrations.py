"""Every service's migrations on SQLite and on PostgreSQL: they make the tables of the code, whether
the store was empty or had rows under an earlier revision."""

from collections.abc import Iterator
from datetime import UTC, datetime
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Engine

from libs.sql.engine import connect
from libs.sql.migrate import differences, upgrade

REVISIONS: Final = sorted(Path("services").glob("*/migrations/versions/m[0-9]*.py"))
SERVICES: Final = sorted({path.parts[1] for path in REVISIONS})
EARLIER: Final = [
    (path.parts[1], path.name[1:5])
    for path, later in pairwise(REVISIONS)
    if path.parts[1] == later.parts[1]
]
VALUES: Final = (
    (sa.LargeBinary, b"a"),
    (sa.DateTime, datetime(2026, 1, 1, tzinfo=UTC)),
    (sa.Boolean, False),
    (sa.Float, 1.0),
    (sa.Integer, 1),
    (sa.String, "a"),
    (sa.JSON, {"a": 1}),
)


@pytest.fixture
def engine(sql_url: str) -> Iterator[Engine]:
    engine = connect(sql_url)
    yield engine
    engine.dispose()


def declared(service: str) -> sa.MetaData:
    """The tables of the service's code."""
    module = "tables" if Path("services", service, "adapters", "tables.py").exists() else "sql"
    metadata: sa.MetaData = import_module(f"services.{service}.adapters.{module}").METADATA
    return metadata


def lacking(engine: Engine, service: str) -> list[Any]:
    found = differences(engine, declared(service))
    return [each for each in found if "alembic_version" not in str(each)]


def rows(engine: Engine) -> dict[str, list[dict[str, Any]]]:
    """Of every table, by column."""
    known = sa.MetaData()
    known.reflect(engine)
    tables = [table for table in known.sorted_tables if table.name != "alembic_version"]
    with engine.connect() as connection:
        return {
            t.name: [dict(r) for r in connection.execute(t.select()).mappings()] for t in tables
        }


def fill(engine: Engine) -> None:
    """One row in every table; those that refer to another one fit it."""
    known = sa.MetaData()
    known.reflect(engine)
    with engine.begin() as connection:
        for table in known.sorted_tables:
            if table.name != "alembic_version":
                row = {column.name: value(column) for column in table.columns}
                connection.execute(table.insert().values(row))


def value(column: sa.Column[Any]) -> object:
    return next(value for kind, value in VALUES if isinstance(column.type, kind))


@pytest.mark.parametrize("service", SERVICES)
def test_an_empty_store_gets_the_tables_of_the_code(engine: Engine, service: str) -> None:
    upgrade(engine, f"services.{service}")

    assert lacking(engine, service) == []


@pytest.mark.parametrize(("service", "revision"), EARLIER)
def test_a_store_of_an_earlier_revision_keeps_its_rows(
    engine: Engine, service: str, revision: str
) -> None:
    upgrade(engine, f"services.{service}", revision)
    fill(engine)
    before = rows(engine)

    upgrade(engine, f"services.{service}")

    assert lacking(engine, service) == []
    after = rows(engine)
    assert all(before.values())
    for table, [row] in before.items():
        assert row.items() <= after[table][0].items()


def test_there_is_something_to_upgrade() -> None:
    assert {"monitor", "registry", "trainer", "feedback"} < set(SERVICES)
    assert ("preprocessing", "0001") in EARLIER
