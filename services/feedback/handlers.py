"""Give (the doors' command), the join of both topics, and the sweep."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial

from libs.events.delivery import Delivery
from libs.faults import Retryable
from libs.kafka.door import DOOR_S, acknowledged
from libs.rpc import auth
from libs.runtime.clock import Clock
from protos.feedback.v1.feedback_events_pb2 import FeedbackGiven
from protos.feedback.v1.feedback_service_pb2 import GiveRequest
from protos.inference.v1.inference_events_pb2 import GenerationServed
from services.feedback import domain, wire
from services.feedback.domain import Feedback, Generation, Limits, Output, Slot
from services.feedback.ports import Applications, Give, Place, Slots


@dataclass(frozen=True, slots=True)
class GiveFeedback:
    """Checks who gives it and what it says, and puts it on the log."""

    applications: Applications
    give: Give
    clock: Clock
    give_s: float = DOOR_S

    async def __call__(self, request: GiveRequest, key_sha256: str | None) -> str:
        """The feedback's id.

        Raises:
            Poison: ``unauthenticated``, ``bad_feedback``.
            Retryable: the log has not taken it within ``give_s``. It may later: the id that the
                message tells makes a repeat harmless.
        """
        application = self.applications(key_sha256) if key_sha256 else None
        if application is None:
            raise auth.no_application(key_sha256)
        feedback = wire.requested(request, application, self.clock.now())
        try:
            await acknowledged(partial(self.give, feedback), self.give_s)
        except Retryable as error:
            again = f"give it again with feedback_id {feedback.feedback_id!r}"
            raise Retryable(f"the log does not answer: {again}") from error
        return feedback.feedback_id


@dataclass(frozen=True, slots=True)
class Arrival:
    """An event with where it belongs and where it stood on the log."""

    place: Place
    event: Feedback | Generation
    topic: str
    offset: int
    at: datetime


@dataclass(frozen=True, slots=True)
class Join:
    """Gathers the events of a batch; ``settle`` folds them into their slots.

    The slots and what comes of them are one transaction, which is done before the batch's
    offsets are committed: a batch that is read again finds that its slots have seen it.
    """

    slots: Slots
    batch: list[Arrival] = field(default_factory=list)

    def __call__(self, delivery: Delivery[FeedbackGiven] | Delivery[GenerationServed]) -> None:
        event = wire.event_of(delivery.event)
        place = Place(delivery.partition, event.generation_id)
        topic, offset = delivery.topic.name, delivery.offset
        self.batch.append(Arrival(place, event, topic, offset, delivery.produced_at))

    def settle(self) -> None:
        """Store what the batch made of its slots and what it says; once for each batch.

        Raises:
            Retryable: the store is away; call again.
        """
        places = {arrival.place for arrival in self.batch}
        with self.slots.begin({place.partition for place in places}) as work:
            changed, said = fold(work.find(places), self.batch)
            work.put(changed)
            work.say(said)
        self.batch.clear()


def fold(
    found: Mapping[Place, Slot], batch: Iterable[Arrival]
) -> tuple[dict[Place, Slot], list[Output]]:
    """The slots that ``batch`` changes among those ``found``, and what it says."""
    changed: dict[Place, Slot] = {}
    said: list[Output] = []
    for arrival in batch:
        place, topic, offset = arrival.place, arrival.topic, arrival.offset
        slot = changed.get(place) or found.get(place) or Slot(opened_at=arrival.at)
        if domain.has_seen(slot, topic, offset):
            continue  # its outputs were stored with the slot
        slot, outputs = domain.join(slot, arrival.event)
        changed[place] = domain.mark(slot, topic, offset)
        said += outputs
    return changed, said


@dataclass(frozen=True, slots=True)
class Sweep:
    """Drops what is beyond the bounds; feedback that still waits is refused, never lost."""

    slots: Slots
    limits: Limits
    clock: Clock

    def __call__(self) -> int:
        """How many slots were dropped.

        Raises:
            Retryable: the store is away.
        """
        dropped = 0
        for partition in self.slots.partitions():
            while some := self._some(partition):
                dropped += some
        return dropped

    def _some(self, partition: int) -> int:
        with self.slots.begin([partition]) as work:
            oldest, waiting = work.oldest(partition), work.waiting(partition)
            totals, now = work.totals(partition), self.clock.now()
            whys = domain.overdue(self.limits, now, totals, oldest, waiting)
            owing = {
                Place(partition, one.generation_id)
                for one in (*oldest, *waiting)
                if one.generation_id in whys and not one.answered
            }
            slots = work.find(owing).values()
            work.say([refused for slot in slots for refused in domain.leftover(slot)])
            work.drop(partition, whys)
        return len(whys)
