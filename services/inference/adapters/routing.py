"""Routing tables: from the compacted topic, with the last ones on disk for a start without it."""

import asyncio
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import structlog
from google.protobuf.message import DecodeError

from libs.faults import Poison
from libs.kafka.table import MemoryTable
from protos.registry.v1.registry_events_pb2 import RoutingTable
from services.inference.domain.release import Table
from services.inference.wire import events

log = structlog.get_logger()


class CachedRouting:
    """Serves the cached tables until the topic has been read once, then what the topic says.

    ``caught_up`` tells whether it has. Readers are on the event loop; changes arrive in the
    table's reader thread. Where another process keeps ``directory`` they are not ``kept`` here.
    """

    def __init__(
        self,
        source: MemoryTable[RoutingTable],
        caught_up: Callable[[], bool],
        directory: Path,
        *,
        kept: bool = True,
    ) -> None:
        self._kept = kept
        self._source = source
        self._caught_up = caught_up
        self._directory = directory
        directory.mkdir(parents=True, exist_ok=True)
        self._tables = self._cached()
        self._by_key = _by_key(self._tables)
        self._callbacks: list[Callable[[], None]] = []
        self._writing = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        source.on_change(self._changed)

    def find(self, key_sha256: str) -> Table | None:
        return self._by_key.get(key_sha256)

    def tables(self) -> Sequence[Table]:
        return list(self._tables.values())

    def on_change(self, callback: Callable[[], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._callbacks.append(callback)

    async def serve(self, stop: asyncio.Event, poll_s: float = 0.1) -> None:
        """Take over the topic's tables once it has been read."""
        while not stop.is_set() and not self._caught_up():
            try:
                await asyncio.wait_for(stop.wait(), poll_s)
            except TimeoutError:
                continue
        if not stop.is_set():
            await asyncio.to_thread(self.take_over)
        await stop.wait()

    def take_over(self) -> None:
        """From now on the topic is the truth: tables that it does not have are dropped."""
        fresh = {event.application: event for event in self._source.values()}
        for application in [name for name in self._tables if name not in fresh]:
            self._set(application, None)
        for application, event in fresh.items():
            self._set(application, event)

    def unready(self) -> str | None:
        return None if self._tables or self._caught_up() else "no routing table yet"

    def _changed(self, application: str, event: RoutingTable | None) -> None:
        if self._caught_up():
            self._set(application, event)

    def _set(self, application: str, event: RoutingTable | None) -> None:
        with self._writing:
            self._replace(application, event)

    def _replace(self, application: str, event: RoutingTable | None) -> None:
        tables = dict(self._tables)
        if event is None:
            tables.pop(application, None)
            if self._kept:
                self._path(application).unlink(missing_ok=True)
        else:
            try:
                tables[application] = events.table(event)
            except Poison as poison:  # the table in force stays in force
                log.error("routing.refused", application=application, error=str(poison))
                return
            if self._kept:
                self._keep(application, event)
            log.info("routing.changed", application=application, version=event.version)
        self._tables, self._by_key = tables, _by_key(tables)
        for callback in self._callbacks:
            if self._loop is not None:
                self._loop.call_soon_threadsafe(callback)

    def _keep(self, application: str, event: RoutingTable) -> None:
        path = self._path(application)
        partial = path.with_suffix(".part")
        try:
            partial.write_bytes(event.SerializeToString())
            partial.replace(path)
        except OSError as error:
            log.error("routing.not_cached", application=application, error=str(error))

    def _cached(self) -> dict[str, Table]:
        tables = {}
        for path in self._directory.glob("*.routing"):
            try:
                table = events.table(RoutingTable.FromString(path.read_bytes()))
            except (DecodeError, Poison, OSError) as error:
                log.warning("routing.cache_unreadable", path=path.name, error=str(error))
                continue
            tables[table.application] = table
        return tables

    def _path(self, application: str) -> Path:
        return self._directory / f"{application.replace('/', '_')}.routing"


def _by_key(tables: dict[str, Table]) -> dict[str, Table]:
    return {key: table for table in tables.values() for key in table.key_sha256}
