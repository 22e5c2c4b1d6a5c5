"""A faust app as a Part: inside the service's event loop, without web server and signals."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import faust
import structlog

from libs.faults import Fatal, Retryable
from libs.runtime.config import KafkaSettings

log = structlog.get_logger()

START_TIMEOUT_S: Final = 60.0
SESSION_TIMEOUT_S: Final = 10.0
"""A member that was killed holds its partitions for this long."""
METADATA_MAX_AGE_MS: Final = 5000
HEARTBEAT_S: Final = 3.0
COMMIT_INTERVAL_S: Final = 1.0
CHECK_S: Final = 0.2
WRITE_TIMEOUT_S: Final = 30.0
LINGER_S: Final = 0.005
MAX_STATE_BYTES: Final = 4 * 1024 * 1024
"""Largest table value, as the changelog topic and the producer allow it."""

Declare = Callable[[faust.App], None]


class PlacedTable(faust.Table):  # type: ignore[misc]  # faust is not typed
    """A table whose keys are ``"<partition>/<name>"``.

    The key says where its changelog lies, so that state can be written outside of a stream's
    iteration too: at the end of a batch, or by a sweep.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._unwritten: list[asyncio.Future[Any]] = []

    def partition_for_key(self, key: str) -> int:
        return int(key.partition("/")[0])

    def send_changelog(self, *arguments: Any, **options: Any) -> Any:
        sent = super().send_changelog(*arguments, **options)
        self._unwritten.append(sent)
        return sent

    async def written(self) -> None:
        """Back when the changelog has every change made before.

        faust's own flush before a commit gives up after 0.1 s without progress, and commits.

        Raises:
            Retryable: the broker did not take them; the records behind them must run again.
        """
        unwritten, self._unwritten = self._unwritten, []
        try:
            await asyncio.wait_for(asyncio.gather(*unwritten), WRITE_TIMEOUT_S)
        except Exception as error:
            raise Retryable(f"the changelog of {self.name} is not written: {error!r}") from error


class Streams:
    """Runs what ``declare`` puts on a fresh app: tables first, then agents.

    Tables live in memory; Kafka keeps their changelog, which is read back at start. Topics
    are never created here, but for those changelogs.
    """

    name = "streams"

    def __init__(
        self, settings: KafkaSettings, *, group: str, state_dir: Path, declare: Declare
    ) -> None:
        self._settings = settings
        self._group = group
        self._state_dir = state_dir
        self._declare = declare
        self._app: faust.App | None = None

    async def __aenter__(self) -> Self:
        app = self._build()
        self._declare(app)
        app.finalize()
        self._app = app
        await asyncio.wait_for(app.start(), START_TIMEOUT_S)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._app is not None:
            await self._app.stop()

    async def serve(self, stop: asyncio.Event) -> None:
        """Until ``stop``.

        Raises:
            Fatal: faust gave up; its process must start again.
        """
        while not stop.is_set():
            if self._app is None or self._app.should_stop:
                cause = getattr(self._app, "crash_reason", None)
                raise Fatal(f"the stream app stopped: {cause}") from cause
            try:
                await asyncio.wait_for(stop.wait(), CHECK_S)
            except TimeoutError:
                continue

    def unready(self) -> str | None:
        if self._app is None or not self._app.started:
            return "starting"
        if not settled(self._app):
            return "reading its state back"
        return None

    def _build(self) -> faust.App:
        data = self._state_dir / "faust"
        data.mkdir(parents=True, exist_ok=True)
        return faust.App(
            self._group,
            broker=[f"kafka://{broker.strip()}" for broker in self._settings.brokers.split(",")],
            loop=asyncio.get_running_loop(),
            datadir=str(data),
            store="memory://",
            key_serializer="raw",
            value_serializer="raw",
            web_enabled=False,
            topic_disable_leader=True,
            topic_replication_factor=1,
            consumer_auto_offset_reset="earliest",
            broker_session_timeout=SESSION_TIMEOUT_S,
            broker_heartbeat_interval=HEARTBEAT_S,
            broker_commit_interval=COMMIT_INTERVAL_S,
            producer_max_request_size=MAX_STATE_BYTES,
            # A topic or a leader that is new to the client is asked for soon, not after 5 minutes.
            consumer_metadata_max_age_ms=METADATA_MAX_AGE_MS,
            producer_metadata_max_age_ms=METADATA_MAX_AGE_MS,
            producer_acks=-1,
            producer_linger=LINGER_S,
            stream_wait_empty=False,
            logging_config=None,
        )


def settled(app: Any) -> bool:
    """Whether partitions are assigned and tables are read back."""
    return bool(
        app.started
        and not app.rebalancing
        and not app.in_recovery
        and app.tables.recovery.completed.is_set()
    )


def placed_table(app: faust.App, name: str, partitions: int) -> PlacedTable:
    """Declare a table of bytes on ``app``; ``partitions`` as its source topics have."""
    table = PlacedTable(
        app,
        name=name,
        key_type=str,
        value_type=bytes,
        partitions=partitions,
        extra_topic_configs={"max.message.bytes": MAX_STATE_BYTES},
    )
    app.tables.add(table)
    return table
