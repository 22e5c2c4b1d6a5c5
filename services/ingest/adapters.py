"""The log, as ingest writes to it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from libs.events.topics import RECORD_RECEIVED
from libs.faults import Retryable
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
    """For the doors, many at once: returns when every announcement is acknowledged."""

    sink: Sink

    def __call__(self, announcements: Sequence[Announcement]) -> None:
        AnnounceInBatch(self.sink)(announcements)
        try:
            self.sink.flush()
        except Retryable as error:
            raise Retryable("the log does not answer: send the same again later") from error


def keys_of(table: RoutingTable) -> Iterable[str]:
    """The index of the routing tables: digests of the application's API keys."""
    return table.key_sha256
