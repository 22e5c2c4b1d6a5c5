"""One monitor after another on the in-memory broker and a SQLite file."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from libs.events import codec, headers
from libs.events.topics import (
    APPLICATION_APPLIED,
    BY_NAME,
    FEEDBACK_JOINED,
    GENERATION_SERVED,
    PROVIDER_PROBED,
    ROUTING,
    TRAINING_COMPLETED,
    Topic,
)
from libs.kafka.consumer import ConsumerLoop, Route
from libs.kafka.memory import MemoryBroker
from libs.kafka.table import MemoryTable
from libs.sql.engine import connect
from libs.sql.outbox import unpack
from protos.feedback.v1.feedback_events_pb2 import FeedbackJoined
from protos.inference.v1.inference_events_pb2 import GenerationServed
from protos.registry.v1.application_pb2 import Application, DriftPolicy
from protos.registry.v1.registry_events_pb2 import (
    ROLE_CHAMPION,
    ApplicationApplied,
    Release,
    Role,
    RoutingTable,
)
from protos.registry.v1.registry_events_pb2 import Route as RoutingRoute
from services.monitor.adapters.sql import METADATA, OUTBOX, SqlStates
from services.monitor.handlers import (
    Batch,
    OnFeedbackJoined,
    OnGenerationServed,
    OnProviderProbed,
    OnTrainingCompleted,
)

from .traffic import Traffic, corrected, served


class Killed(Exception):
    """The process is gone."""


def no_kill() -> None:
    """The default fault."""


@dataclass
class Stack:
    """One monitor after another over the same log and the same store."""

    path: Path
    broker: MemoryBroker = field(default_factory=MemoryBroker)
    routing: MemoryTable[RoutingTable] = field(default_factory=lambda: MemoryTable(ROUTING))
    applied: MemoryTable[ApplicationApplied] = field(
        default_factory=lambda: MemoryTable(APPLICATION_APPLIED)
    )

    def __post_init__(self) -> None:
        METADATA.create_all(connect(self.url))
        drift = DriftPolicy(reference_events=90, average_run_length=10_000, new_rows=5)
        declared = Application(name="support", drift=drift)
        self.applied.put(ApplicationApplied(application=declared, revision=1))
        self.crown("r1", 1)

    @property
    def url(self) -> str:
        return f"sqlite:///{self.path}"

    def crown(self, digest: str, version: int) -> None:
        route = RoutingRoute(release=Release(digest=digest), role=ROLE_CHAMPION)
        self.routing.put(RoutingTable(application="support", version=version, routes=[route]))

    def monitor(
        self, before_store: Callable[[], None] = no_kill, after_store: Callable[[], None] = no_kill
    ) -> ConsumerLoop:
        batch = Batch(SqlStates(connect(self.url)), self.routing, self.applied)
        routes: list[Route[Any]] = [
            Route(GENERATION_SERVED, OnGenerationServed(batch)),
            Route(FEEDBACK_JOINED, OnFeedbackJoined(batch)),
            Route(PROVIDER_PROBED, OnProviderProbed(batch)),
            Route(TRAINING_COMPLETED, OnTrainingCompleted(batch)),
        ]
        source = self.broker.source("monitor", [route.topic.name for route in routes])

        def settle() -> None:
            before_store()
            batch.settle()
            after_store()

        return ConsumerLoop(source, self.broker.sink(), routes, settle)

    def outbox(self, *topics: Topic[Any]) -> list[tuple[str, Any]]:
        """Event id and event of everything that would be sent to ``topics``, in order."""
        names = {topic.name for topic in topics}
        with connect(self.url).connect() as connection:
            rows = connection.execute(sa.select(OUTBOX).order_by(OUTBOX.c.seq)).all()
        return [
            (
                headers.get(unpack(row.headers), headers.EVENT_ID) or "",
                codec.decode(BY_NAME[row.topic], row.value),
            )
            for row in rows
            if row.topic in names
        ]


def rated(number: int, role: Role.ValueType, rating: float) -> FeedbackJoined:
    return FeedbackJoined(
        feedback_id=f"f{number}",
        version=1,
        generation_id=f"g{number}",
        application="support",
        campaign_id="c1",
        role=role,
        canary_share=0.5,
        rating=rating,
    )


def produce(stack: Stack, events: Sequence[GenerationServed | FeedbackJoined]) -> None:
    for event in events:
        if isinstance(event, GenerationServed):
            stack.broker.produce(GENERATION_SERVED, event)
        else:
            stack.broker.produce(FEEDBACK_JOINED, event)


def drifting(stack: Stack) -> None:
    """200 quiet answers, then 160 of another domain and their corrections."""
    traffic = Traffic(3)
    produce(stack, [served(traffic) for _ in range(200)])
    produce(stack, [served(traffic, far=True) for _ in range(160)])
    produce(stack, [corrected(number) for number in range(8)])


def drain(loop: ConsumerLoop, size: int) -> None:
    while loop.step(max_records=size):
        pass


def counts(stack: Stack) -> tuple[int, int, int, int]:
    """Answers in the windows, in the canary, its scores, and corrections that wait."""
    state = SqlStates(connect(stack.url)).load("support")
    assert state is not None
    minutes = [each for release in state.releases.values() for each in release.windows.minutes]
    canary = state.canaries.get("c1")
    arm, scored = (canary.canary.candidate, canary.comparison.scored) if canary else (None, 0)
    answered = sum(minute.answered for minute in minutes)
    return answered, arm.answered if arm else 0, scored, state.decision.new_rows
