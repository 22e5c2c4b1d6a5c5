"""The join as a faust agent over both topics, and its sweep."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import faust

from libs.events.topics import FEEDBACK_GIVEN, GENERATION_SERVED
from libs.kafka.consumer import Route
from libs.kafka.record import Sink
from libs.runtime.clock import Clock
from libs.streams.agent import GuardedAgent, Settlement, end_process
from libs.streams.app import placed_table, settled
from services.feedback.adapters import AnnounceOnKafka, RefuseOnKafka, TableSlots
from services.feedback.domain import Limits
from services.feedback.handlers import Join, Sweep

TABLE = "slots"


@dataclass(frozen=True, slots=True)
class JoinStream:
    """Declares the table, the agent and the sweep's timer on a fresh app."""

    sink: Sink
    limits: Limits
    clock: Clock
    sweep_s: float
    die: Callable[[], None] = end_process

    def __call__(self, app: faust.App) -> None:
        table = placed_table(app, TABLE, partitions=FEEDBACK_GIVEN.partitions)
        slots = TableSlots(table)
        refuse = RefuseOnKafka(self.sink)
        join = Join(slots, AnnounceOnKafka(self.sink), refuse)
        sweep = Sweep(slots, refuse, self.limits, self.clock)
        routes: list[Route[Any]] = [Route(FEEDBACK_GIVEN, join), Route(GENERATION_SERVED, join)]

        async def keep() -> None:
            slots.keep()
            await table.written()

        settlement = Settlement(routes, self.sink, keep)
        topic = app.topic(*settlement.topics, value_serializer="raw", key_serializer="raw")
        app.agent(topic, name="join")(GuardedAgent(settlement, self.die).__call__)
        table.on_recover(_recovery(slots, settlement))
        app.timer(self.sweep_s)(_turn(app, sweep, settlement, self.die))


def _recovery(slots: TableSlots, settlement: Settlement) -> Callable[[], Awaitable[None]]:
    async def recovered() -> None:  # faust awaits it
        async with settlement.lock:
            slots.recovered()

    return recovered


def _turn(
    app: faust.App, sweep: Sweep, settlement: Settlement, die: Callable[[], None]
) -> Callable[[], Awaitable[None]]:
    async def sweep_turn() -> None:
        if not settled(app):
            return
        try:
            await settlement.deliver(sweep)
        except Exception:
            die()
            raise

    return sweep_turn
