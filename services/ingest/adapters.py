"""The log, as ingest writes to it."""

import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from libs.events.topics import RECORD_RECEIVED
from libs.kafka.record import Sink
from protos.registry.v1.registry_events_pb2 import RoutingTable
from services.ingest.ports import Announcement


@dataclass(frozen=True, slots=True)
class AnnounceInBatch:
    """For the consumer loop, which flushes its sink before it commits."""

    sink: Sink

    def __call__(self, announcements: Sequence[Announcement]) -> None:
        for announcement in announcements:
            self.sink.send(RECORD_RECEIVED, announcement.event, event_id=announcement.event_id)


@dataclass(frozen=True, slots=True)
class AnnounceAndWait:
    """For the doors: returns when every announcement is acknowledged.

    A flush answers for all that was sent through the sink, so uploads take turns: none
    may be told of another one's loss instead of its own.
    """

    sink: Sink
    turn: threading.Lock = field(default_factory=threading.Lock)

    def __call__(self, announcements: Sequence[Announcement]) -> None:
        with self.turn:
            AnnounceInBatch(self.sink)(announcements)
            self.sink.flush()


def keys_of(table: RoutingTable) -> Iterable[str]:
    """The index of the routing tables: digests of the application's API keys."""
    return table.key_sha256
