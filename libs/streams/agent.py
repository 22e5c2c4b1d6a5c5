"""The guarded agent: nothing is lost although faust acknowledges a record whose agent raised.

A batch is what the stream holds right now, at most ``MAX_BATCH`` records. Its outputs are
acknowledged by the broker first, then its state is written, then its records are acked:

    settle, settle, ... -> sink.flush() -> keep() -> ack    (each awaited)

A crash before the ack repeats the batch. State is only written behind its outputs, so state
that has seen a record proves that the record's outputs are on the log.
"""

import asyncio
import os
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

import structlog

from libs.faults import Fatal, Poison, Retryable
from libs.kafka.consumer import Route, bury, delivery_of
from libs.kafka.record import Record, Sink
from libs.runtime import metrics

log = structlog.get_logger()

T = TypeVar("T")

MAX_BATCH: Final = 100
"""What faust buffers of a changelog before it holds everything up."""
EXIT_STATUS: Final = 70
"""EX_SOFTWARE: the service's runner starts it again, and the batch is read again."""


def end_process() -> None:
    """Leave at once, before faust can commit; no handler, no ``finally`` runs."""
    os._exit(EXIT_STATUS)


@dataclass(slots=True)
class Settlement:
    """Settles records one by one and delivers what they caused, batch by batch.

    Handlers are synchronous and touch state and ``sink`` only. They run in one thread, and
    the sink is flushed there: a sink tells a thread of what that thread has sent. ``lock`` is
    held by whoever changes the state: the agent for a batch, a sweep for its turn.
    """

    routes: Sequence[Route[Any]]
    sink: Sink
    keep: Callable[[], Awaitable[None]]
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    _handlers: dict[str, Route[Any]] = field(init=False)
    _thread: ThreadPoolExecutor = field(init=False)

    def __post_init__(self) -> None:
        self._handlers = {route.topic.name: route for route in self.routes}
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="settlement")

    @property
    def topics(self) -> list[str]:
        return list(self._handlers)

    def settle(self, record: Record) -> None:
        """Handle or bury ``record``.

        Raises:
            Fatal: it can be neither handled nor buried.
        """
        outcome = "handled"
        try:
            self._handlers[record.topic].handler(delivery_of(record))
        except (Retryable, Fatal) as error:
            raise Fatal(f"{record.topic}/{record.partition}/{record.offset}: {error}") from error
        except Exception as error:  # a bug too: faust would ack this record and forget it
            code = error.code if isinstance(error, Poison) else "bug"
            if code == "bug":
                log.error("handler.failed", topic=record.topic, exc_info=error)
            bury(self.sink, record, code, str(error) or type(error).__name__)
            outcome = "dead_lettered"
        metrics.EVENTS_SETTLED.labels(record.topic, outcome).inc()

    async def deliver(self, work: Callable[[], T]) -> T:
        """Do ``work``, then acknowledge its outputs, then write its state.

        Raises:
            Retryable: an output or a change was not acknowledged; what caused it must run again.
        """
        loop = asyncio.get_running_loop()
        async with self.lock:
            found = await loop.run_in_executor(self._thread, self._flushed, work)
            await self.keep()
        return found

    def _flushed(self, work: Callable[[], T]) -> T:
        found = work()
        self.sink.flush()
        return found


@dataclass(frozen=True, slots=True)
class GuardedAgent:
    """A faust agent over raw records. Any failure ends the process; ``die`` is for tests."""

    settlement: Settlement
    die: Callable[[], None] = end_process

    async def __call__(self, stream: Any) -> None:
        batches = stream.noack()
        waiting = batches.channel.queue
        batch: list[Any] = []
        async for event in batches.events():
            batch.append(event)
            if waiting.empty() or len(batch) >= MAX_BATCH:
                await self._settle(batch)
                for settled in batch:
                    await batches.ack(settled)
                batch.clear()

    async def _settle(self, batch: Sequence[Any]) -> None:
        try:
            records = [record_of(event.message) for event in batch]
            await self.settlement.deliver(lambda: self._settle_all(records))
        except Exception as error:
            log.critical("agent.failed", error=str(error), exc_info=error)
            self.die()
            raise

    def _settle_all(self, records: Sequence[Record]) -> None:
        for record in records:
            self.settlement.settle(record)


def record_of(message: Any) -> Record:
    """A faust message as a value; its timestamp is in seconds, headers may be a dict or None."""
    pairs = message.headers or ()
    if isinstance(pairs, dict):
        pairs = pairs.items()
    return Record(
        topic=message.topic,
        partition=message.partition,
        offset=message.offset,
        key=message.key,
        value=message.value,
        headers=tuple((name, value or b"") for name, value in pairs),
        timestamp_ms=int((message.timestamp or 0.0) * 1000),
    )
