"""Folds each record into its application's state, and settles the batch in one transaction."""

from collections.abc import Callable
from dataclasses import dataclass, field

import structlog

from libs.events.delivery import Delivery
from libs.events.topics import (
    CANARY_EVIDENCE,
    CAUSE_ATTRIBUTED,
    DECISION_MADE,
    DRIFT_DETECTED,
    PROBE_REQUESTED,
    RETRAINING_TRIGGERED,
    SLO_BREACHED,
    E,
)
from libs.faults import Fatal, Retryable
from libs.kafka.record import Sink
from protos.feedback.v1.feedback_events_pb2 import FeedbackJoined
from protos.inference.v1.inference_events_pb2 import GenerationServed, ProviderProbed
from protos.registry.v1.registry_events_pb2 import ApplicationApplied, RoutingTable
from protos.training.v1.training_events_pb2 import TrainingCompleted
from services.monitor.domain.application import MOST_PER_S, Application
from services.monitor.domain.outcome import Attributed, Evidence, Outcome, ProbeWanted, Rang
from services.monitor.domain.slo import Change
from services.monitor.domain.verdict import Made, Trigger
from services.monitor.ports import Language, Newest, Show, States
from services.monitor.wire import declared, incoming, outgoing

log = structlog.get_logger()

Step = Callable[[Application], list[Outcome]]


def unheard(_: object) -> str:
    """The default of ``language`` and ``show``."""
    return ""


@dataclass(slots=True)
class Batch:
    """The states that this process folds, and what the present batch made of them.

    A batch is folded with the detectors' blocks settled together at its end (`Application.waits`).
    Where something rings, it is folded again from the stored state, block by block: alarms are
    rare, and so they are told with their event wherever the batch ends.

    Between two settlements the states in memory are ahead of the store. A process that dies
    there starts from the store again, with the same records: the offsets that a state has seen
    are stored with it, and so are the events about it.

    Fields:
        show: what is done with states that were stored, e.g. the gauges.
        most_per_s: answers of one application and second that the detectors take whole.
        steps: of each application in this batch, with place and offset of their records.
    """

    states: States
    routing: Newest[RoutingTable]
    applied: Newest[ApplicationApplied]
    show: Show = unheard
    most_per_s: int = MOST_PER_S
    held: dict[str, Application] = field(default_factory=dict)
    changed: dict[str, list[Outcome]] = field(default_factory=dict)
    steps: dict[str, list[tuple[str, int, Step]]] = field(default_factory=dict)
    followed: dict[str, tuple[int, int]] = field(default_factory=dict)

    def fold(self, delivery: Delivery[E], name: str, step: Step) -> None:
        """Run ``step`` on the application unless its state has seen this record.

        Raises:
            Fatal: the store is away; nothing of the batch may be committed.
        """
        place = f"{delivery.topic.name}/{delivery.partition}"
        try:
            state = self.held.get(name) or self._load(name)
        except Retryable as error:
            # A dead letter here would be a hole in the statistics: stop and start again.
            raise Fatal(f"the state of {name} cannot be loaded: {error}") from error
        if not state.first(place, delivery.offset):
            return
        if name not in self.changed:
            self.changed[name], self.steps[name] = self._follow(state), []
            state.waits, state.rang = state.inquiry.case is None, False
        self.steps[name].append((place, delivery.offset, step))
        self.changed[name] += step(state)

    def settle(self) -> None:
        """Store every changed state and its events together.

        Raises:
            Retryable: the store is away; call again.
        """
        for name, outcomes in self.changed.items():
            outcomes.extend(self.held[name].settle())
            if self.held[name].waits and self.held[name].rang:
                self.changed[name] = self._fold_again(name)
        if self.changed:
            states = [self.held[name] for name in self.changed]
            self.states.store(states, self._send)
            self.show(states)
        for name, outcomes in self.changed.items():
            _tell(name, outcomes)
        self.changed.clear()
        self.steps.clear()

    def forget(self) -> None:
        """Between two batches, when partitions are taken away: states come from the store again."""
        self.held.clear()
        self.followed.clear()

    def _load(self, name: str) -> Application:
        state = self.held[name] = self.states.load(name) or Application(name)
        state.most_per_s = self.most_per_s
        return state

    def _fold_again(self, name: str) -> list[Outcome]:
        state = self._load(name)
        self.followed.pop(name, None)
        outcomes = self._follow(state)
        for place, offset, step in self.steps[name]:
            if state.first(place, offset):
                outcomes += step(state)
        return outcomes + state.settle()

    def _follow(self, state: Application) -> list[Outcome]:
        table, applied = self.routing.get(state.name), self.applied.get(state.name)
        newest = (table.version if table else 0, applied.revision if applied else 0)
        if self.followed.get(state.name) == newest:
            return []
        self.followed[state.name] = newest
        if applied is not None:
            state.declare(declared.declared(applied))
        if table is None:
            return []
        return state.crown(declared.champion(table), table.version)

    def _send(self, sink: Sink) -> None:
        for name, outcomes in self.changed.items():
            for outcome in outcomes:
                _send(sink, name, outcome, self.held[name].declared.collection)


@dataclass(frozen=True, slots=True)
class OnGenerationServed:
    batch: Batch
    language: Language = unheard

    def __call__(self, delivery: Delivery[GenerationServed]) -> None:
        event, now = delivery.event, delivery.produced_at.timestamp()
        generation = incoming.generation(event, now, self.language)
        name = incoming.application_name(event.application)
        self.batch.fold(delivery, name, lambda state: state.serve(generation, now))


@dataclass(frozen=True, slots=True)
class OnFeedbackJoined:
    batch: Batch

    def __call__(self, delivery: Delivery[FeedbackJoined]) -> None:
        now = delivery.produced_at.timestamp()
        feedback = incoming.feedback(delivery.event, now)
        name = incoming.application_name(delivery.event.application)
        self.batch.fold(delivery, name, lambda state: state.rate(feedback, now))


@dataclass(frozen=True, slots=True)
class OnProviderProbed:
    batch: Batch

    def __call__(self, delivery: Delivery[ProviderProbed]) -> None:
        now = delivery.produced_at.timestamp()
        probed = incoming.probed(delivery.event)
        name = incoming.application_name(delivery.event.application)
        self.batch.fold(delivery, name, lambda state: state.probe(probed, now))


@dataclass(frozen=True, slots=True)
class OnTrainingCompleted:
    """What a run took is what the next one is expected to take."""

    batch: Batch

    def __call__(self, delivery: Delivery[TrainingCompleted]) -> None:
        now = delivery.produced_at.timestamp()
        campaign = delivery.event.campaign_id or delivery.event.run_id
        seconds = incoming.training_seconds(delivery.event)
        name = incoming.application_name(delivery.event.application)
        self.batch.fold(delivery, name, lambda state: state.train(campaign, seconds, now))


def _send(sink: Sink, name: str, outcome: Outcome, collection: str) -> None:
    match outcome:
        case Rang():
            event = outgoing.drift_detected(name, outcome)
            sink.send(DRIFT_DETECTED, event, event_id=outcome.event_id)
        case Trigger():
            trigger = outgoing.retraining_triggered(name, outcome, collection)
            sink.send(RETRAINING_TRIGGERED, trigger, event_id=outcome.campaign_id)
        case Made():
            made = outgoing.decision_made(name, outcome)
            sink.send(DECISION_MADE, made, event_id=outcome.event_id)
        case Attributed():
            told = outgoing.cause_attributed(name, outcome)
            sink.send(CAUSE_ATTRIBUTED, told, event_id=outgoing.event_id(told))
        case ProbeWanted():
            wanted = outgoing.probe_requested(name, outcome)
            sink.send(PROBE_REQUESTED, wanted, event_id=outgoing.event_id(wanted))
        case Change():
            breached = outgoing.slo_breached(name, outcome)
            sink.send(SLO_BREACHED, breached, event_id=outgoing.event_id(breached))
        case Evidence():
            evidence = outgoing.canary_evidence(name, outcome)
            sink.send(CANARY_EVIDENCE, evidence, event_id=outgoing.event_id(evidence))


def _tell(name: str, outcomes: list[Outcome]) -> None:
    for outcome in outcomes:
        match outcome:
            case Rang(event_id=event_id, alarm=alarm):
                log.warning(
                    "drift.detected",
                    application=name,
                    signal=alarm.signal,
                    segment=alarm.segment,
                    at_event=alarm.at_event,
                    drift_event_id=event_id,
                )
            case Attributed(event_id=event_id, found=found):
                log.info(
                    "cause.attributed",
                    application=name,
                    cause=found.cause,
                    confidence=found.confidence,
                    drift_event_id=event_id,
                )
            case Change(objective=objective, severity=severity, resolved=resolved):
                log.warning(
                    "slo.breached",
                    application=name,
                    objective=objective.key,
                    severity=severity,
                    resolved=resolved,
                )
            case Made(verdict=verdict, reasons=reasons, drift_event_id=event_id):
                log.info(
                    "decision.made",
                    application=name,
                    verdict=verdict,
                    reasons=reasons,
                    drift_event_id=event_id,
                )
            case Trigger(campaign_id=campaign_id, new_rows=new_rows):
                log.info(
                    "retraining.triggered",
                    application=name,
                    campaign_id=campaign_id,
                    new_rows=new_rows,
                )
