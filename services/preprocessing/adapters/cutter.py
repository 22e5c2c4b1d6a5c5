"""The part that cuts datasets: outside the poll loop, when the rows before a request are in."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Final, Self

import structlog

from libs.faults import Retryable
from libs.runtime.clock import Clock
from protos.preprocessing.v1.preprocessing_events_pb2 import DatasetRequested
from services.preprocessing.ports import Backlog, Requests

log = structlog.get_logger()

POLL_S: Final = 0.25
RETRY_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class Wait:
    """What of the log a request waits for, since when (monotonic seconds)."""

    ends: Mapping[tuple[str, int], int]
    since_s: float


@dataclass(slots=True)
class Cutter:
    requests: Requests
    backlog: Backlog
    cut: Callable[[DatasetRequested], None]
    clock: Clock
    catch_up_s: float
    name: str = "cutter"
    _waits: dict[str, Wait] = field(default_factory=dict)
    _trouble: str | None = None

    def step(self) -> int:
        """Answer the requests whose rows are in; returns how many.

        Raises:
            Retryable: the database, the broker or the artifact store is away.
        """
        answered = 0
        for request in self.requests.pending():
            if self._caught_up(request):
                self.cut(request)
                self._waits.pop(request.campaign_id, None)
                log.info("dataset.answered", campaign_id=request.campaign_id)
                answered += 1
        return answered

    def _caught_up(self, request: DatasetRequested) -> bool:
        now_s = self.clock.monotonic()
        wait = self._waits.get(request.campaign_id)
        if wait is None:
            wait = self._waits[request.campaign_id] = Wait(self.backlog.ends(), now_s)
        if self.backlog.reached(wait.ends):
            return True
        if now_s - wait.since_s < self.catch_up_s:
            return False
        log.warning("dataset.cut_behind", campaign_id=request.campaign_id, waited_s=self.catch_up_s)
        return True

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        pass

    async def serve(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            pause_s = POLL_S
            try:
                await asyncio.to_thread(self.step)
                self._trouble = None
            except Retryable as error:
                self._trouble = f"datasets wait: {error}"
                log.warning("dataset.waiting", error=str(error))
                pause_s = error.after_s or RETRY_S
            try:
                await asyncio.wait_for(stop.wait(), pause_s)
            except TimeoutError:
                continue

    def unready(self) -> str | None:
        return self._trouble
