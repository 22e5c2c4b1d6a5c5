"""Slots in SQL: a batch reads and writes its own at once, a sweep the oldest."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, Final

import sqlalchemy as sa
from prometheus_client import Counter, Gauge
from sqlalchemy.engine import Connection, Engine

from libs.events.topics import FEEDBACK_GIVEN
from libs.runtime import metrics
from libs.sql.engine import insert_once, reader
from libs.sql.outbox import OutboxBatch, add_outbox
from services.feedback import wire
from services.feedback.adapters import outputs
from services.feedback.domain import Held, Output, Refused, Slot, Totals
from services.feedback.ports import Place

LISTED: Final = 500
"""How many slots ``oldest`` and ``waiting`` list."""

EVICTED: Final = Counter(
    "perennial_feedback_slots_evicted_total", "Slots dropped at a bound", ["bound"]
)
HELD: Final = Gauge(
    "perennial_feedback_slots", "Generation ids that the store holds", ["partition"]
)
JOINED: Final = Counter(
    "perennial_feedback_joined_total", "Feedback versions joined with their answer"
)

METADATA: Final = sa.MetaData()
PARTITIONS: Final = sa.Table(
    "partitions",
    METADATA,
    sa.Column("partition", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("slots", sa.BigInteger, nullable=False),
    sa.Column("bytes", sa.BigInteger, nullable=False),
)
"""What each partition holds; whoever changes its slots holds the lock of its row."""

SLOTS: Final = sa.Table(
    "slots",
    METADATA,
    sa.Column("generation_id", sa.String(36), primary_key=True),
    sa.Column("partition", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("opened_s", sa.Double, nullable=False),  # Unix time
    sa.Column("answered", sa.Boolean, nullable=False),
    sa.Column("bytes", sa.BigInteger, nullable=False),  # of ``state``
    sa.Column("state", sa.LargeBinary, nullable=False),
)
_WAITING: Final = SLOTS.c.answered.is_(sa.false())
sa.Index("slots_by_age", SLOTS.c.partition, SLOTS.c.opened_s)
sa.Index(
    "slots_waiting",
    SLOTS.c.partition,
    SLOTS.c.opened_s,
    sqlite_where=_WAITING,
    postgresql_where=_WAITING,
)
OUTBOX: Final = add_outbox(METADATA)

_AT: Final = (
    (SLOTS.c.generation_id == sa.bindparam("at_id"))
    & (SLOTS.c.partition == sa.bindparam("at_partition"))
)  # fmt: skip


class SqlSlots:
    """`ports.Slots` over SQLite or PostgreSQL; what is said leaves through the outbox."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._reader = reader(engine)

    @contextmanager
    def begin(self, partitions: Collection[int]) -> Iterator["SqlWork"]:
        with self._engine.begin() as connection:
            work = SqlWork(connection, sorted(partitions))
            yield work
            work.store_totals()
        work.count()

    def partitions(self) -> Sequence[int]:
        with self._reader.connect() as connection:
            return sorted(connection.scalars(sa.select(PARTITIONS.c.partition)))


class SqlWork:
    """`ports.Work` over one transaction."""

    def __init__(self, connection: Connection, partitions: Sequence[int]) -> None:
        self._connection = connection
        self._before = {one: self._locked(one) for one in partitions}
        self._totals = dict(self._before)
        self._sizes: dict[Place, int] = {}
        self._said: list[Output] = []
        self._dropped: list[str] = []

    def find(self, places: Collection[Place]) -> dict[Place, Slot]:
        rows = self._connection.execute(
            sa.select(SLOTS.c.partition, SLOTS.c.generation_id, SLOTS.c.state).where(
                SLOTS.c.generation_id.in_({place.generation_id for place in places}),
                SLOTS.c.partition.in_({place.partition for place in places}),
            )
        )
        found: dict[Place, Slot] = {}
        for partition, generation_id, state in rows:
            place = Place(partition, generation_id)
            self._sizes[place] = len(state)
            found[place] = wire.slot_of(state)
        return found

    def put(self, slots: Mapping[Place, Slot]) -> None:
        fresh: list[dict[str, Any]] = []
        changed: list[dict[str, Any]] = []
        for place, slot in slots.items():
            state = wire.slot_bytes(slot)
            known = self._sizes.get(place)
            self._add(place.partition, int(known is None), len(state) - (known or 0))
            self._sizes[place] = len(state)
            values = {
                "answered": slot.generation is not None,
                "bytes": len(state),
                "state": state,
            }
            if known is None:
                opened = {"opened_s": slot.opened_at.timestamp()}
                at = {"generation_id": place.generation_id, "partition": place.partition}
                fresh.append(at | opened | values)
            else:
                at = {"at_id": place.generation_id, "at_partition": place.partition}
                changed.append(at | values)
        if fresh:
            self._connection.execute(SLOTS.insert(), fresh)
        if changed:
            self._connection.execute(SLOTS.update().where(_AT), changed)

    def drop(self, partition: int, whys: Mapping[str, str]) -> None:
        here = (SLOTS.c.generation_id.in_(whys)) & (SLOTS.c.partition == partition)
        sizes = self._connection.scalars(SLOTS.delete().where(here).returning(SLOTS.c.bytes)).all()
        self._add(partition, -len(sizes), -sum(sizes))
        self._dropped += whys.values()

    def totals(self, partition: int) -> Totals:
        return self._totals[partition]

    def oldest(self, partition: int) -> Sequence[Held]:
        return self._listed(SLOTS.c.partition == partition)

    def waiting(self, partition: int) -> Sequence[Held]:
        return self._listed((SLOTS.c.partition == partition) & _WAITING)

    def say(self, said: Iterable[Output]) -> None:
        sink = OutboxBatch(self._connection, OUTBOX)
        self._said += [outputs.send(sink, output) for output in said]
        sink.flush()

    def store_totals(self) -> None:
        for partition, totals in self._totals.items():
            if totals != self._before[partition]:
                self._connection.execute(
                    PARTITIONS.update()
                    .where(PARTITIONS.c.partition == partition)
                    .values(slots=totals.slots, bytes=totals.bytes)
                )

    def count(self) -> None:
        """What is stored now, for the metrics."""
        for output in self._said:
            if isinstance(output, Refused):
                metrics.DEAD_LETTERS.labels(FEEDBACK_GIVEN.name, output.code).inc()
            else:
                JOINED.inc()
        for why in self._dropped:
            EVICTED.labels(why).inc()
        for partition, totals in self._totals.items():
            HELD.labels(str(partition)).set(totals.slots)

    def _locked(self, partition: int) -> Totals:
        found = sa.select(PARTITIONS).where(PARTITIONS.c.partition == partition).with_for_update()
        row = self._connection.execute(found).one_or_none()
        if row is None:
            empty = {"partition": partition, "slots": 0, "bytes": 0}
            insert_once(self._connection, PARTITIONS, empty)
            row = self._connection.execute(found).one()
        return Totals(row.slots, row.bytes)

    def _add(self, partition: int, slots: int, size: int) -> None:
        now = self._totals[partition]
        self._totals[partition] = Totals(now.slots + slots, now.bytes + size)

    def _listed(self, where: sa.ColumnElement[bool]) -> Sequence[Held]:
        columns = (SLOTS.c.generation_id, SLOTS.c.opened_s, SLOTS.c.answered, SLOTS.c.bytes)
        chosen = sa.select(*columns).where(where).order_by(SLOTS.c.opened_s).limit(LISTED)
        return [
            Held(name, datetime.fromtimestamp(opened_s, UTC), answered, size)
            for name, opened_s, answered, size in self._connection.execute(chosen)
        ]
