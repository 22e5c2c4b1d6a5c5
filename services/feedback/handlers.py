"""Give (the doors' command), OnFeedbackGiven, OnGenerationServed, and the sweep."""

from dataclasses import dataclass

from libs.events.delivery import Delivery
from libs.faults import UNAUTHENTICATED, Poison
from libs.runtime.clock import Clock
from protos.feedback.v1.feedback_events_pb2 import FeedbackGiven
from protos.feedback.v1.feedback_service_pb2 import GiveRequest
from protos.inference.v1.inference_events_pb2 import GenerationServed
from services.feedback import domain, wire
from services.feedback.domain import Joined, Limits, Slot
from services.feedback.ports import Announce, Applications, Give, Place, Refuse, Slots


@dataclass(frozen=True, slots=True)
class GiveFeedback:
    """Checks who gives it and what it says, and puts it on the log. Blocking."""

    applications: Applications
    give: Give
    clock: Clock

    def __call__(self, request: GiveRequest, key_sha256: str | None) -> str:
        """The feedback's id.

        Raises:
            Poison: ``unauthenticated``, ``bad_feedback``.
            Retryable: the broker is away.
        """
        application = self.applications(key_sha256) if key_sha256 else None
        if application is None:
            raise Poison(
                "an application's API key is needed: 'authorization: Bearer KEY'",
                code=UNAUTHENTICATED,
            )
        feedback = wire.requested(request, application, self.clock.now())
        self.give(feedback)
        return feedback.feedback_id


@dataclass(frozen=True, slots=True)
class Join:
    """Folds one event into its slot and sends what comes of it."""

    slots: Slots
    announce: Announce
    refuse: Refuse

    def __call__(self, delivery: Delivery[FeedbackGiven] | Delivery[GenerationServed]) -> None:
        event = wire.event_of(delivery.event)
        place = Place(delivery.partition, event.generation_id)
        topic = delivery.topic.name
        slot = self.slots.get(place) or Slot(opened_at=delivery.produced_at)
        if domain.has_seen(slot, topic, delivery.offset):
            return  # its outputs are on the log: they go out before the slot is kept
        slot, outputs = domain.join(slot, event)
        for output in outputs:
            if isinstance(output, Joined):
                self.announce(output)
            else:
                self.refuse(output)
        self.slots.put(place, domain.mark(slot, topic, delivery.offset))


@dataclass(frozen=True, slots=True)
class Sweep:
    """Drops what is beyond the bounds; feedback that still waits is refused, never lost."""

    slots: Slots
    refuse: Refuse
    limits: Limits
    clock: Clock

    def __call__(self) -> int:
        """How many slots were dropped."""
        overdue = self.slots.overdue(self.limits, self.clock.now())
        for place, why in overdue:
            slot = self.slots.get(place)
            if slot is not None:
                for refused in domain.leftover(slot):
                    self.refuse(refused)
            self.slots.forget(place, why)
        return len(overdue)
