"""Ports made of faust tables, the Kafka sink and the routing table."""

from collections import OrderedDict
from collections.abc import MutableMapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from prometheus_client import Counter, Gauge

from libs.events.headers import DLQ_CODE, DLQ_ORIGIN, DLQ_REASON
from libs.events.topics import FEEDBACK_GIVEN, FEEDBACK_JOINED
from libs.kafka import outgoing
from libs.kafka.record import Sink
from libs.kafka.table import MemoryTable
from libs.runtime import metrics
from protos.registry.v1.registry_events_pb2 import RoutingTable
from services.feedback import wire
from services.feedback.domain import Feedback, Joined, Limits, Refused, Slot
from services.feedback.ports import Place

EVICTED = Counter("feedback_slots_evicted_total", "Slots dropped at a bound.", ["bound"])
HELD = Gauge("feedback_slots", "Generation ids that the join holds.", ["partition"])
JOINED = Counter("feedback_joined_total", "Feedback versions joined with their answer.")


@dataclass(frozen=True, slots=True)
class Entry:
    opened_at: datetime
    bytes: int
    answered: bool


@dataclass(slots=True)
class TableSlots:
    """Slots in a table of bytes; what a batch changes is held back until ``keep``.

    The table is a faust table, or a dict as its twin. An index of ages and sizes, oldest
    first, is rebuilt from the table after each recovery.
    """

    table: MutableMapping[str, bytes]
    _changed: dict[Place, Slot | None] = field(default_factory=dict)
    _index: dict[int, OrderedDict[str, Entry]] = field(default_factory=dict)
    _bytes: dict[int, int] = field(default_factory=dict)

    def get(self, place: Place) -> Slot | None:
        if place in self._changed:
            return self._changed[place]
        value = self.table.get(_key(place))
        return None if value is None else wire.slot_of(value)

    def put(self, place: Place, slot: Slot) -> None:
        self._changed[place] = slot

    def forget(self, place: Place, why: str) -> None:
        self._changed[place] = None
        EVICTED.labels(why).inc()

    def overdue(self, limits: Limits, now: datetime) -> Sequence[tuple[Place, str]]:
        found: list[tuple[Place, str]] = []
        for partition, entries in self._index.items():
            count, size = len(entries), self._bytes[partition]
            for name, entry in entries.items():
                age = now - entry.opened_at
                why = limits.broken(age, entry.answered, count, size)
                if why is not None:
                    found.append((Place(partition, name), why))
                    count, size = count - 1, size - entry.bytes
        return found

    def keep(self) -> None:
        """Write the batch's changes to the table."""
        for place, slot in self._changed.items():
            if slot is None:
                self.table.pop(_key(place), None)
                self._unlist(place)
            else:
                value = wire.slot_bytes(slot)
                self.table[_key(place)] = value
                self._list(place, Entry(slot.opened_at, len(value), slot.generation is not None))
        self._changed.clear()

    def recovered(self) -> None:
        """Rebuild the index from the table; what was held back belongs to nobody now."""
        self._changed.clear()
        self._index.clear()
        self._bytes.clear()
        slots = [(key, len(value), wire.slot_of(value)) for key, value in self.table.items()]
        for key, size, slot in sorted(slots, key=lambda one: one[2].opened_at):
            self._list(_place(key), Entry(slot.opened_at, size, slot.generation is not None))

    def _list(self, place: Place, entry: Entry) -> None:
        entries = self._index.setdefault(place.partition, OrderedDict())
        old = entries.get(place.generation_id)
        change = entry.bytes - (old.bytes if old else 0)
        entries[place.generation_id] = entry
        self._bytes[place.partition] = self._bytes.get(place.partition, 0) + change
        HELD.labels(str(place.partition)).set(len(entries))

    def _unlist(self, place: Place) -> None:
        entries = self._index.get(place.partition, OrderedDict())
        gone = entries.pop(place.generation_id, None)
        if gone is not None:
            self._bytes[place.partition] -= gone.bytes
        HELD.labels(str(place.partition)).set(len(entries))


def _key(place: Place) -> str:
    return f"{place.partition}/{place.generation_id}"


def _place(key: str) -> Place:
    partition, _, generation_id = key.partition("/")
    return Place(int(partition), generation_id)


@dataclass(frozen=True, slots=True)
class AnnounceOnKafka:
    sink: Sink

    def __call__(self, joined: Joined) -> None:
        event_id = wire.event_id(joined.feedback)
        self.sink.send(FEEDBACK_JOINED, wire.joined(joined), event_id=event_id)
        JOINED.inc()


@dataclass(frozen=True, slots=True)
class RefuseOnKafka:
    """Into the dead letters of feedback.given.v1, as an event that can be sent again."""

    sink: Sink

    def __call__(self, refused: Refused) -> None:
        event = wire.given(refused.feedback)
        key, value, head = outgoing.encode(FEEDBACK_GIVEN, event, wire.event_id(refused.feedback))
        why = (
            (DLQ_CODE, refused.code.encode()),
            (DLQ_REASON, refused.reason.encode()),
            (DLQ_ORIGIN, f"{FEEDBACK_GIVEN.name}/{refused.feedback.feedback_id}".encode()),
        )
        self.sink.send_raw(FEEDBACK_GIVEN.dead_letters, key, value, (*head, *why))
        metrics.DEAD_LETTERS.labels(FEEDBACK_GIVEN.name, refused.code).inc()


@dataclass(frozen=True, slots=True)
class GiveOnKafka:
    """On a sink of its own; many threads may give at once, each is told of what it sent."""

    sink: Sink

    def __call__(self, feedback: Feedback) -> None:
        self.sink.send(FEEDBACK_GIVEN, wire.given(feedback))
        self.sink.flush()


@dataclass(frozen=True, slots=True)
class ApplicationsInRouting:
    """API keys as the routing tables carry them; indexed by ``keys_of``."""

    table: MemoryTable[RoutingTable]

    def __call__(self, key_sha256: str) -> str | None:
        found = self.table.find(key_sha256)
        return None if found is None else found.application


def keys_of(table: RoutingTable) -> Sequence[str]:
    return table.key_sha256
