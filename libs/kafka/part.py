"""A consumer loop as a Part: one thread, batches until stop."""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Self

from libs.kafka.confluent import KafkaSource
from libs.kafka.consumer import ConsumerLoop, Route, nothing
from libs.kafka.record import Sink
from libs.runtime.config import KafkaSettings
from libs.runtime.service import Part


class Consumer(Part):
    """Runs ``loop.step`` on a thread of its own. An exception ends the service."""

    def __init__(self, name: str, loop: ConsumerLoop, max_records: int = 500) -> None:
        self.name = name
        self._loop = loop
        self._max_records = max_records
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=name)

    @classmethod
    def of(
        cls,
        settings: KafkaSettings,
        *,
        group: str,
        routes: Sequence[Route[Any]],
        sink: Sink,
        before_commit: Callable[[], None] = nothing,
        revoked: Callable[[], None] = nothing,
        max_records: int = 500,
    ) -> Self:
        source = KafkaSource(
            settings, group, [route.topic.name for route in routes], revoked=revoked
        )
        loop = ConsumerLoop(source, sink, routes, before_commit)
        return cls(f"consumer.{group}", loop, max_records)

    async def __aexit__(self, *_: object) -> None:
        await asyncio.get_running_loop().run_in_executor(self._thread, self._loop.source.close)
        self._thread.shutdown()

    async def serve(self, stop: asyncio.Event) -> None:
        loop = asyncio.get_running_loop()
        while not stop.is_set():
            await loop.run_in_executor(self._thread, self._loop.step, self._max_records)

    def unready(self) -> str | None:
        return None if self._loop.source.assigned() else "no partitions assigned yet"
