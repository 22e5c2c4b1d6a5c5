"""The consumer loop: poll a batch, settle each record, flush, then commit once.

A record is settled when its handler returned or when it lies in the dead letters. The
offset moves after that and never before: a crash anywhere repeats records, and loses none.
"""

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Final, Generic

import structlog
from prometheus_client import Histogram

from libs.events import codec, headers
from libs.events.delivery import Delivery
from libs.events.topics import BY_NAME, E, Topic
from libs.faults import Fatal, Poison, Retryable, StoreAway
from libs.kafka.record import Record, Sink, Source
from libs.runtime import logs, metrics, tracing

log = structlog.get_logger()

RETRY_WAITS_S: Final = (0.2, 1.0, 5.0)
POLL_TIMEOUT_S: Final = 0.5
MAX_REASON: Final = 1000


@dataclass(frozen=True, slots=True)
class Route(Generic[E]):
    """Which handler settles a topic's events.

    The handler raises `Poison` to dead-letter the record and `Retryable` to be called again: what
    goes on is dead-lettered as ``unavailable``, but for a `StoreAway`. That and what else it
    raises stops the process with nothing of the batch committed.
    """

    topic: Topic[E]
    handler: Callable[[Delivery[E]], None]


def nothing() -> None:
    """The default of ``before_commit``."""


@dataclass(slots=True)
class ConsumerLoop:
    """Settles records of several topics in order of arrival.

    ``before_commit`` runs once a batch, after the sink was flushed: a consumer that folds
    events into state writes it there.
    """

    source: Source
    sink: Sink
    routes: Sequence[Route[Any]]
    before_commit: Callable[[], None] = nothing
    sleep: Callable[[float], None] = time.sleep
    _handlers: dict[str, Route[Any]] = field(init=False)

    def __post_init__(self) -> None:
        self._handlers = {route.topic.name: route for route in self.routes}

    def step(self, max_records: int = 500, timeout_s: float = POLL_TIMEOUT_S) -> int:
        """Settle one batch; returns how many records it held."""
        records = self.source.poll(max_records, timeout_s)
        if not records:
            return 0
        outcomes = Counter((record.topic, self._settle(record)) for record in records)
        self._flush()
        self._insist(self.before_commit)
        self.source.commit(records)
        for (topic, outcome), count in outcomes.items():
            metrics.EVENTS_SETTLED.labels(topic, outcome).inc(count)
        for topic, newest_ms in {each.topic: each.timestamp_ms for each in records}.items():
            metrics.EVENT_AGE_SECONDS.labels(topic).set(max(time.time() - newest_ms / 1000, 0.0))
        return len(records)

    def _settle(self, record: Record) -> str:
        started = time.perf_counter()
        try:
            self._handle(record, delivery_of(record))
            outcome = "handled"
        except Poison as poison:
            bury(self.sink, record, poison.code, str(poison))
            outcome = "dead_lettered"
        _timed(record.topic).observe(time.perf_counter() - started)
        return outcome

    def _handle(self, record: Record, delivery: Delivery[Any]) -> None:
        """One span per record, child of its producer's; its id on every log line."""
        token = logs.EVENT_ID.set(delivery.event_id)
        try:
            with tracing.within(f"{record.topic} process", record.headers):
                self._attempt(self._handlers[record.topic], delivery)
        finally:
            logs.EVENT_ID.reset(token)

    def _attempt(self, route: Route[Any], delivery: Delivery[Any]) -> None:
        for wait_s in RETRY_WAITS_S:
            try:
                return route.handler(delivery)
            except Retryable as error:
                log.warning("event.retried", wait_s=error.after_s or wait_s, error=str(error))
                self.sleep(error.after_s or wait_s)
        try:
            route.handler(delivery)
        except StoreAway as error:
            raise Fatal(f"no record can be settled: {error}") from error
        except Retryable as error:
            raise Poison(f"still failing after retries: {error}", code="unavailable") from error

    def _flush(self) -> None:
        """Once: what a failed flush did not deliver is gone, and a second one would not say so."""
        try:
            self.sink.flush()
        except Retryable as error:
            raise Fatal(f"the batch's events were not all delivered: {error}") from error

    def _insist(self, effect: Callable[[], None]) -> None:
        """Try ``effect`` a few times; without it nothing of the batch may be committed."""
        for wait_s in RETRY_WAITS_S:
            try:
                return effect()
            except Retryable as error:
                log.warning("batch.retried", wait_s=error.after_s or wait_s, error=str(error))
                self.sleep(error.after_s or wait_s)
        try:
            effect()
        except Retryable as error:
            raise Fatal(f"the batch cannot be settled: {error}") from error


def delivery_of(record: Record) -> Delivery[Any]:
    """Decode ``record``.

    Raises:
        Poison: ``undecodable``, also for a tombstone.
    """
    topic = BY_NAME[record.topic]
    if record.value is None:
        raise Poison("no value", code="undecodable")
    kind = headers.get(record.headers, headers.CONTENT_TYPE) or codec.PROTOBUF
    event = codec.decode(topic, record.value, kind)
    event_id = headers.get(record.headers, headers.EVENT_ID)
    return Delivery(
        topic=topic,
        event=event,
        event_id=event_id or f"{record.topic}/{record.partition}/{record.offset}",
        partition=record.partition,
        offset=record.offset,
        produced_at=headers.produced_at(record.headers, record.timestamp_ms),
    )


def bury(sink: Sink, record: Record, code: str, reason: str) -> None:
    """Send ``record`` to its dead letters: same key and bytes, so that it can be sent again."""
    origin = f"{record.topic}/{record.partition}/{record.offset}"
    told = headers.get(record.headers, headers.DLQ_ATTEMPT) or ""
    attempt = 1 + (int(told) if told.isdecimal() and len(told) < 10 else 0)
    kept = tuple(pair for pair in record.headers if not pair[0].startswith("dlq-"))
    why = (
        (headers.DLQ_CODE, code.encode()),
        (headers.DLQ_REASON, reason[:MAX_REASON].encode(errors="replace")),
        (headers.DLQ_ORIGIN, origin.encode()),
        (headers.DLQ_ATTEMPT, str(attempt).encode()),
    )
    sink.send_raw(f"{record.topic}.dlq", record.key, record.value or b"", (*kept, *why))
    metrics.DEAD_LETTERS.labels(record.topic, code).inc()
    log.error("event.dead_lettered", origin=origin, code=code, reason=reason[:MAX_REASON])


@cache
def _timed(topic: str) -> Histogram:
    return metrics.EVENT_HANDLE_SECONDS.labels(topic)
