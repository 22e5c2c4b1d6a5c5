"""One row of a table: found, or put in the place of the one before."""

from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row


def one(connection: Connection, table: sa.Table, where: sa.ColumnElement[bool]) -> Row[Any] | None:
    return connection.execute(sa.select(table).where(where)).one_or_none()


def put(connection: Connection, table: sa.Table, key: dict[str, Any], **values: Any) -> None:
    """Update the row with ``key``, or insert it."""
    same = sa.and_(*(table.c[name] == value for name, value in key.items()))
    if connection.execute(table.update().where(same).values(values)).rowcount == 0:
        connection.execute(table.insert(), key | values)


def utc(at: datetime) -> datetime:
    """SQLite forgets the zone; all stored times are UTC."""
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at
