"""The outbox's relay: from the table to the broker, in order, one relay at a time."""

import asyncio
import fcntl
import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Self

import sqlalchemy as sa
import structlog
from sqlalchemy import event
from sqlalchemy.engine import Connection, Engine

from libs.faults import Retryable
from libs.kafka.record import Sink
from libs.sql.engine import reader
from libs.sql.outbox import PENDING, unpack

log = structlog.get_logger()

BATCH: Final = 500
POLL_S: Final = 0.25
"""How late a row of another process is seen; this process's commits wake the relay at once."""
RETRY_S: Final = 1.0


class OutboxRelay:
    """A part that sends stored events and deletes what the broker acknowledged.

    ``sink`` belongs to the relay alone: a flush must answer for the relay's records and
    no others. It is entered before the relay. Where several processes share the store
    one of them relays (an advisory lock on PostgreSQL, a file lock on SQLite); when it
    dies another takes over. A broker that is away keeps the rows waiting.
    """

    def __init__(self, engine: Engine, table: sa.Table, sink: Sink) -> None:
        self.name = f"{table.name}-relay"
        self._engine = engine
        self._reader = reader(engine)
        self._table = table
        self._sink = sink
        self._awake = threading.Event()
        self._trouble: str | None = None

    async def __aenter__(self) -> Self:
        event.listen(self._engine, "commit", self._on_commit)
        return self

    async def __aexit__(self, *_: object) -> None:
        """Send what the other parts stored while they stopped."""
        await asyncio.to_thread(self._last_words)
        event.remove(self._engine, "commit", self._on_commit)

    async def serve(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            await asyncio.to_thread(self._turn, stop)

    def unready(self) -> str | None:
        return self._trouble

    def step(self) -> int:
        """Send one batch; returns how many events left. Zero while another process relays.

        Raises:
            Retryable: the store or the broker is away; the rows stay.
        """
        with one_at_a_time(self._engine, self._table.name) as mine:
            return self._send_batch() if mine else 0

    def _send_batch(self) -> int:
        table = self._table
        with self._reader.connect() as connection:
            rows = connection.execute(sa.select(table).order_by(table.c.seq).limit(BATCH)).all()
        if not rows:
            return 0
        for row in rows:
            self._sink.send_raw(row.topic, row.key, row.value, unpack(row.headers))
        self._sink.flush()
        # By number, not "up to": a row with a smaller number may be committed only now.
        sent = [row.seq for row in rows]
        with self._engine.begin() as connection:
            connection.execute(table.delete().where(table.c.seq.in_(sent)))
        return len(rows)

    def _turn(self, stop: asyncio.Event) -> None:
        self._awake.clear()
        try:
            while self.step() == BATCH and not stop.is_set():
                pass
            self._trouble = None
            self._awake.wait(POLL_S)
        except Retryable as error:
            self._trouble = f"events wait in {self._table.name}: {error}"
            log.warning("outbox.waiting", table=self._table.name, error=str(error))
            self._awake.wait(error.after_s or RETRY_S)

    def _last_words(self) -> None:
        try:
            while self.step() == BATCH:
                pass
        except Retryable as error:
            log.warning("outbox.waiting", table=self._table.name, error=str(error))

    def _on_commit(self, connection: Connection) -> None:
        if connection.info.pop(PENDING, False):
            self._awake.set()


@contextmanager
def one_at_a_time(engine: Engine, name: str) -> Iterator[bool]:
    """True for the one process that holds the store's lock called ``name``, for the block."""
    if engine.dialect.name == "postgresql":
        key = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], signed=True)
        with engine.connect() as connection:
            taken = connection.scalar(sa.select(sa.func.pg_try_advisory_xact_lock(key)))
            yield bool(taken)
        return
    database = engine.url.database
    if database in {None, "", ":memory:"}:
        yield True
        return
    with Path(f"{database}.{name}-lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        yield True
