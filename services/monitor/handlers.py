"""Folds each record into its application's state, and settles the batch in one transaction."""

from collections.abc import Callable
from dataclasses import dataclass, field

import structlog

from libs.events.delivery import Delivery
from libs.events.topics import CANARY_EVIDENCE, DRIFT_DETECTED, RETRAINING_TRIGGERED, E
from libs.faults import Fatal, Retryable
from libs.kafka.record import Sink
from protos.feedback.v1.feedback_events_pb2 import FeedbackJoined
from protos.inference.v1.inference_events_pb2 import GenerationServed
from protos.registry.v1.registry_events_pb2 import ApplicationApplied, RoutingTable
from services.monitor import wire
from services.monitor.domain.application import Application, Evidence, Outcome, Rang
from services.monitor.domain.decision import Trigger
from services.monitor.ports import Newest, States

log = structlog.get_logger()

Step = Callable[[Application], list[Outcome]]


@dataclass(slots=True)
class Batch:
    """The states that this process folds, and what the present batch made of them.

    Between two settlements the states in memory are ahead of the store. A process that dies
    there starts from the store again, with the same records: the offsets that a state has seen
    are stored with it, and so are the events about it.
    """

    states: States
    routing: Newest[RoutingTable]
    applied: Newest[ApplicationApplied]
    held: dict[str, Application] = field(default_factory=dict)
    changed: dict[str, list[Outcome]] = field(default_factory=dict)
    followed: dict[str, tuple[int, int]] = field(default_factory=dict)

    def fold(self, delivery: Delivery[E], name: str, step: Step) -> None:
        """Run ``step`` on the application unless its state has seen this record.

        Raises:
            Fatal: the store is away; nothing of the batch may be committed.
        """
        state = self._held(name)
        if not state.first(f"{delivery.topic.name}/{delivery.partition}", delivery.offset):
            return
        self._follow(state)
        self.changed.setdefault(name, []).extend(step(state))

    def settle(self) -> None:
        """Store every changed state and its events together.

        Raises:
            Retryable: the store is away; call again.
        """
        for name, outcomes in self.changed.items():
            outcomes.extend(self.held[name].settle())
        if self.changed:
            self.states.store([self.held[name] for name in self.changed], self._send)
        for name, outcomes in self.changed.items():
            _tell(name, outcomes)
        self.changed.clear()

    def _held(self, name: str) -> Application:
        if name not in self.held:
            try:
                self.held[name] = self.states.load(name) or Application(name)
            except Retryable as error:
                # A dead letter here would be a hole in the statistics: stop and start again.
                raise Fatal(f"the state of {name} cannot be loaded: {error}") from error
        return self.held[name]

    def _follow(self, state: Application) -> None:
        table, applied = self.routing.get(state.name), self.applied.get(state.name)
        newest = (table.version if table else 0, applied.revision if applied else 0)
        if self.followed.get(state.name) == newest:
            return
        if applied is not None:
            state.declare(wire.declared(applied))
        if table is not None:
            state.crown(wire.champion(table), table.version)
        self.followed[state.name] = newest

    def _send(self, sink: Sink) -> None:
        for name, outcomes in self.changed.items():
            for outcome in outcomes:
                _send(sink, name, outcome, self.held[name].declared.collection)


@dataclass(frozen=True, slots=True)
class OnGenerationServed:
    batch: Batch

    def __call__(self, delivery: Delivery[GenerationServed]) -> None:
        now = delivery.produced_at.timestamp()
        generation = wire.generation(delivery.event, now)
        name = wire.application_name(delivery.event.application)
        self.batch.fold(delivery, name, lambda state: state.serve(generation, now))


@dataclass(frozen=True, slots=True)
class OnFeedbackJoined:
    batch: Batch

    def __call__(self, delivery: Delivery[FeedbackJoined]) -> None:
        now = delivery.produced_at.timestamp()
        feedback = wire.feedback(delivery.event)
        name = wire.application_name(delivery.event.application)
        self.batch.fold(delivery, name, lambda state: state.rate(feedback, now))


def _send(sink: Sink, name: str, outcome: Outcome, collection: str) -> None:
    match outcome:
        case Rang():
            event = wire.drift_detected(name, outcome)
            sink.send(DRIFT_DETECTED, event, event_id=outcome.event_id)
        case Trigger():
            trigger = wire.retraining_triggered(name, outcome, collection)
            sink.send(RETRAINING_TRIGGERED, trigger, event_id=outcome.campaign_id)
        case Evidence():
            evidence = wire.canary_evidence(name, outcome)
            sink.send(CANARY_EVIDENCE, evidence, event_id=wire.evidence_id(evidence))


def _tell(name: str, outcomes: list[Outcome]) -> None:
    for outcome in outcomes:
        match outcome:
            case Rang(event_id=event_id, alarm=alarm):
                log.warning(
                    "drift.detected",
                    application=name,
                    signal=alarm.signal,
                    at_event=alarm.at_event,
                    drift_event_id=event_id,
                )
            case Trigger(campaign_id=campaign_id, new_rows=new_rows):
                log.info(
                    "retraining.triggered",
                    application=name,
                    campaign_id=campaign_id,
                    new_rows=new_rows,
                )
