"""Values and twins for the tests of feedback."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime

from libs.faults import Retryable
from libs.kafka.memory import MemoryBroker, MemorySink
from protos.feedback.v1.feedback_events_pb2 import FeedbackGiven
from protos.inference.v1.inference_events_pb2 import GenerationServed
from protos.registry.v1.registry_events_pb2 import ROLE_CHAMPION
from services.feedback import wire
from services.feedback.adapters import outputs
from services.feedback.domain import Held, Output, Slot, Totals
from services.feedback.ports import Place

NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)
ID = "0190a000-0000-7000-8000-000000000001"


def served(generation_id: str = ID, application: str = "bank") -> GenerationServed:
    event = GenerationServed(
        generation_id=generation_id,
        application=application,
        release_digest="r" * 64,
        role=ROLE_CHAMPION,
        canary_share=0.25,
        episode_id="episode",
        subject="person",
        labels={"channel": "app"},
        prompt="How?",
        answer="So.",
        embedding=b"\0" * 768,
    )
    event.served_at.FromDatetime(NOON)
    return event


def given(generation_id: str = ID, application: str = "bank", version: int = 1) -> FeedbackGiven:
    event = FeedbackGiven(
        feedback_id="f",
        version=version,
        generation_id=generation_id,
        application=application,
        rating=0.5,
        correction="Like this.",
    )
    event.given_at.FromDatetime(NOON)
    return event


@dataclass
class MemorySlots:
    """The store's twin; what is said is on the broker as soon as it is stored."""

    broker: MemoryBroker = field(default_factory=MemoryBroker)
    kept: dict[Place, Slot] = field(default_factory=dict)
    away: bool = False

    @contextmanager
    def begin(self, partitions: Collection[int]) -> Iterator["MemoryWork"]:
        work = MemoryWork(dict(self.kept), self.broker.sink())
        yield work
        if self.away:
            raise Retryable("the store is away")
        self.kept = work.kept
        work.sink.flush()

    def partitions(self) -> Sequence[int]:
        return sorted({place.partition for place in self.kept})


@dataclass
class MemoryWork:
    kept: dict[Place, Slot]
    sink: MemorySink

    def find(self, places: Collection[Place]) -> dict[Place, Slot]:
        return {place: self.kept[place] for place in places if place in self.kept}

    def put(self, slots: Mapping[Place, Slot]) -> None:
        self.kept |= slots

    def drop(self, partition: int, whys: Mapping[str, str]) -> None:
        for generation_id in whys:
            del self.kept[Place(partition, generation_id)]

    def totals(self, partition: int) -> Totals:
        held = self.oldest(partition)
        return Totals(len(held), sum(one.bytes for one in held))

    def oldest(self, partition: int) -> Sequence[Held]:
        held = [
            Held(
                place.generation_id,
                slot.opened_at,
                slot.generation is not None,
                len(wire.slot_bytes(slot)),
            )
            for place, slot in self.kept.items()
            if place.partition == partition
        ]
        return sorted(held, key=lambda one: one.opened_at)

    def waiting(self, partition: int) -> Sequence[Held]:
        return [one for one in self.oldest(partition) if not one.answered]

    def say(self, said: Iterable[Output]) -> None:
        for output in said:
            outputs.send(self.sink, output)
