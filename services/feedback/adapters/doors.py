"""What the doors need: the log, and whose API key it is."""

from collections.abc import Sequence
from dataclasses import dataclass

from libs.events.topics import FEEDBACK_GIVEN
from libs.kafka.record import Sink
from libs.kafka.table import MemoryTable
from protos.registry.v1.registry_events_pb2 import RoutingTable
from services.feedback import wire
from services.feedback.domain import Feedback


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
