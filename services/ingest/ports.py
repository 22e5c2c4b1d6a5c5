"""What ingest asks of the outside."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from protos.ingest.v1.ingest_events_pb2 import RecordReceived
from protos.registry.v1.registry_events_pb2 import RoutingTable


@dataclass(frozen=True, slots=True)
class Announcement:
    event_id: str
    event: RecordReceived


class Announce(Protocol):
    def __call__(self, announcements: Sequence[Announcement]) -> None:
        """Put the announcements on the log.

        Raises:
            Retryable: not all of them are on it.
        """
        ...


class Applications(Protocol):
    """The routing tables, by application and by the digest of an API key."""

    def get(self, key: str) -> RoutingTable | None: ...

    def find(self, index_key: str) -> RoutingTable | None: ...
