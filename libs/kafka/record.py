"""What the broker carries, and the two ports to it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from libs.events.headers import Headers
from libs.events.topics import E, Topic


@dataclass(frozen=True, slots=True)
class Record:
    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    """None is a tombstone."""
    headers: Headers
    timestamp_ms: int


class Source(Protocol):
    """Reads records of one consumer group."""

    def poll(self, max_records: int, timeout_s: float) -> list[Record]:
        """Up to ``max_records``, in order within each partition; may be empty.

        Raises:
            Retryable: the broker is away.
        """

    def commit(self, records: Sequence[Record]) -> None:
        """The group goes on behind these records. Partitions lost meanwhile are left alone."""

    def assigned(self) -> bool:
        """Whether the group has given this member its partitions (maybe none)."""

    def close(self) -> None: ...


class Sink(Protocol):
    """Writes events; nothing is promised before ``flush`` has returned."""

    def send(self, topic: Topic[E], event: E, *, event_id: str | None = None) -> str:
        """Queue one event and return its id (a new UUIDv7 unless given).

        Raises:
            Poison: ``oversize`` above 256 KiB: put the content into the artifact store.
        """

    def send_raw(self, topic: str, key: bytes | None, value: bytes, headers: Headers) -> None:
        """Queue bytes as they are."""

    def flush(self) -> None:
        """Wait until every queued record is acknowledged by all in-sync replicas.

        Raises:
            Retryable: some were not; nothing tells which, so what caused them must run again.
        """
