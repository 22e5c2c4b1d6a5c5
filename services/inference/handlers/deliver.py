"""From the spool to Kafka, in order; on the way each prompt gets its embedding."""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import structlog
from google.protobuf.message import Message
from opentelemetry.trace import Span, use_span

from libs.events import codec
from libs.events.topics import BY_NAME, Topic
from libs.faults import Poison, Retryable
from libs.kafka.record import Sink
from libs.runtime import metrics, tracing
from libs.runtime.clock import Clock
from protos.inference.v1.inference_events_pb2 import GenerationServed
from protos.registry.v1.registry_events_pb2 import ROLE_SHADOW
from services.inference.handlers import instruments
from services.inference.ports import Backlog, Embedder, Entry, Position
from services.inference.wire import spans
from services.inference.wire.events import packed

log = structlog.get_logger()

BATCH: Final = 128
LINGER_S: Final = 0.01
LAGGING_BYTES: Final = 2 * 1024 * 1024
"""Behind by more than this, events go without embeddings until the backlog is small again."""
EMBEDDER_REST_S: Final = 10.0
RETRY_S: Final = (0.5, 1.0, 2.0, 5.0)


@dataclass(frozen=True, slots=True)
class _Outgoing:
    topic: Topic[Any]
    event: Message
    event_id: str


@dataclass(frozen=True, slots=True)
class _Batch:
    """Read, and its prompts embedded."""

    entries: int
    outgoing: Sequence[_Outgoing]
    position: Position


@dataclass(slots=True)
class Deliver:
    """The only reader of the backlog. Delivery is at least once, under one event id."""

    backlog: Backlog
    sink: Sink
    embedder: Embedder
    clock: Clock
    failures: int = 0
    _wake: asyncio.Event = field(default_factory=asyncio.Event)
    _embed_again_s: float = float("-inf")
    _waiting: _Batch | None = None
    """Kafka would not take it: embedding it again at each try would cost the engines dear."""

    def wake(self) -> None:
        """There is something new."""
        self._wake.set()

    async def serve(self, stop: asyncio.Event) -> None:
        """Deliver until ``stop``; what is left then stays on disk."""
        self._wake.set()
        stopping = asyncio.create_task(stop.wait())
        try:
            while not stop.is_set():
                waking = asyncio.create_task(self._wake.wait())
                await asyncio.wait({waking, stopping}, return_when=asyncio.FIRST_COMPLETED)
                waking.cancel()
                await asyncio.wait({stopping}, timeout=await self._round())
        finally:
            stopping.cancel()

    async def _round(self) -> float:
        """Deliver one batch; returns how long to rest, in seconds."""
        self._wake.clear()
        try:
            if await self.step():
                self._wake.set()
            self.failures = 0
        except Retryable as error:
            self._wake.set()
            wait_s = RETRY_S[min(self.failures, len(RETRY_S) - 1)]
            self.failures += 1
            log.warning("delivery.waits", wait_s=wait_s, error=str(error))
            await asyncio.to_thread(self.backlog.sync)
            return wait_s
        return LINGER_S

    async def step(self) -> int:
        """Deliver one batch; returns how many events it held.

        Raises:
            Retryable: Kafka is away; the batch stays.
        """
        batch = self._waiting = self._waiting or await self._next()
        if batch.outgoing:
            await asyncio.to_thread(self._send, batch.outgoing)
        await asyncio.to_thread(self.backlog.commit, batch.position)
        self._waiting = None
        instruments.BACKLOG_BYTES.set(self.backlog.pending_bytes())
        return batch.entries

    async def _next(self) -> _Batch:
        entries, position = await asyncio.to_thread(self.backlog.read, BATCH)
        outgoing = [found for entry in entries if (found := _decoded(entry)) is not None]
        await self._embed(outgoing)
        return _Batch(len(entries), outgoing, position)

    async def finish(self, timeout_s: float) -> None:
        """Deliver what is left, if Kafka was there lately and time allows."""
        if self.failures:
            return
        try:
            async with asyncio.timeout(timeout_s):
                while await self.step():
                    pass
        except (Retryable, TimeoutError) as error:
            log.warning("delivery.left_on_disk", error=str(error))

    def _send(self, outgoing: Sequence[_Outgoing]) -> None:
        begun: list[tuple[Span, GenerationServed]] = []
        for one in outgoing:
            try:
                with _in_trace(one.event, begun):
                    self.sink.send(one.topic, one.event, event_id=one.event_id)
            except Poison as poison:
                metrics.EVENTS_LOST.labels(one.topic.name, poison.code).inc()
                log.error("event.lost", topic=one.topic.name, error=str(poison))
        self.sink.flush()
        for span, served in begun:  # only now: what Kafka did not take is sent again
            spans.end(span, served)

    async def _embed(self, outgoing: Sequence[_Outgoing]) -> None:
        served = [
            one.event
            for one in outgoing
            if isinstance(one.event, GenerationServed)
            and one.event.prompt
            and one.event.role != ROLE_SHADOW  # its original carries it
        ]
        if not served:
            return
        if self.backlog.pending_bytes() > LAGGING_BYTES:
            instruments.EMBEDDINGS_SKIPPED.labels("lagging").inc(len(served))
            return
        if self.clock.monotonic() < self._embed_again_s:
            instruments.EMBEDDINGS_SKIPPED.labels("resting").inc(len(served))
            return
        try:
            rows = await self.embedder.embed([event.prompt for event in served])
        except Retryable as error:
            log.warning("embedding.skipped", error=str(error))
            instruments.EMBEDDINGS_SKIPPED.labels("unavailable").inc(len(served))
            self._embed_again_s = self.clock.monotonic() + EMBEDDER_REST_S
            return
        for event, row in zip(served, rows, strict=True):
            event.embedding = packed(row)


@contextmanager
def _in_trace(event: Message, begun: list[tuple[Span, GenerationServed]]) -> Iterator[None]:
    """What is sent within belongs to the answer's span, or to the caller's trace at least."""
    if not isinstance(event, GenerationServed):
        yield
    elif tracing.exporting():
        span = spans.begin(event)
        begun.append((span, event))
        with use_span(span):
            yield
    elif event.traceparent:
        with tracing.within("deliver", [("traceparent", event.traceparent)]):
            yield
    else:
        yield


def _decoded(entry: Entry) -> _Outgoing | None:
    topic: Topic[Any] | None = BY_NAME.get(entry.topic)
    try:
        if topic is None:
            raise Poison(f"no topic {entry.topic}", code="unknown_topic")
        return _Outgoing(topic, codec.decode(topic, entry.event), entry.event_id)
    except Poison as poison:
        metrics.EVENTS_LOST.labels(entry.topic, poison.code).inc()
        log.error("event.lost", topic=entry.topic, error=str(poison))
        return None
