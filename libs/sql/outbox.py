"""The transactional outbox: a state and the events about it are stored together, then sent.

    OUTBOX = add_outbox(METADATA)
    with engine.begin() as connection:
        ...                                             # the state
        OutboxSink(connection, OUTBOX).send(TOPIC, event)
    # in compose: OutboxRelay(engine, OUTBOX, KafkaSink(...)), a part of the service

Events leave in the order of their transactions' rows, at least once, with the id that
``send`` gave; consumers deduplicate by that id.
"""

import base64
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from libs.events import headers
from libs.events.headers import Headers
from libs.events.topics import E, Topic
from libs.kafka import outgoing
from libs.sql.engine import SEQUENCE

PENDING: Final = "perennial_outbox_pending"
"""Key in ``Connection.info``: this connection's transaction has rows for the relay."""


def columns_v1() -> list[sa.Column[Any]]:
    """The outbox's columns, for ``add_outbox`` and for ``op.create_table`` in a migration."""
    return [
        sa.Column("seq", SEQUENCE, primary_key=True, autoincrement=True),
        sa.Column("topic", sa.String(249), nullable=False),
        sa.Column("key", sa.LargeBinary),
        sa.Column("value", sa.LargeBinary, nullable=False),
        sa.Column("headers", sa.JSON, nullable=False),  # [[name, base64 of the bytes], ...]
    ]


def add_outbox(metadata: sa.MetaData, name: str = "outbox") -> sa.Table:
    """Declare the outbox in a service's metadata. One process relays one table."""
    return sa.Table(name, metadata, *columns_v1(), sqlite_autoincrement=True)


class OutboxSink:
    """A `libs.kafka` Sink over one open transaction: committed with it, gone with its rollback."""

    def __init__(self, connection: Connection, table: sa.Table) -> None:
        self._connection = connection
        self._table = table

    def send(self, topic: Topic[E], event: E, *, event_id: str | None = None) -> str:
        """Store an event beside the state that it tells of; returns its id."""
        stored_id = event_id or headers.new_event_id()
        key, value, head = outgoing.encode(topic, event, stored_id)
        self.send_raw(topic.name, key, value, head)
        return stored_id

    def send_raw(self, topic: str, key: bytes | None, value: bytes, head: Headers) -> None:
        """Store bytes as they are."""
        packed = [[name, base64.b64encode(data).decode()] for name, data in head]
        self._store({"topic": topic, "key": key, "value": value, "headers": packed})

    def _store(self, row: dict[str, Any]) -> None:
        self._connection.execute(self._table.insert(), row)
        self._connection.info[PENDING] = True

    def flush(self) -> None:
        """Nothing to wait for: the commit is the acknowledgement."""


class OutboxBatch(OutboxSink):
    """The same for many events: stored together by ``flush``, and lost without it."""

    def __init__(self, connection: Connection, table: sa.Table) -> None:
        super().__init__(connection, table)
        self._rows: list[dict[str, Any]] = []

    def _store(self, row: dict[str, Any]) -> None:
        self._rows.append(row)

    def flush(self) -> None:
        if self._rows:
            self._connection.execute(self._table.insert(), self._rows)
            self._connection.info[PENDING] = True
            self._rows = []


def unpack(packed: list[list[str]]) -> Headers:
    """Headers as they were given to ``send_raw``."""
    return tuple((name, base64.b64decode(data)) for name, data in packed)
