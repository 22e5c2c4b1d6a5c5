"""Cuts datasets: outside the consumer's loop, when the rows before a request are in."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import structlog

from libs.runtime.clock import Clock
from protos.preprocessing.v1.preprocessing_events_pb2 import DatasetRequested
from services.preprocessing.ports import Backlog, Requests

log = structlog.get_logger()


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
    _waits: dict[str, Wait] = field(default_factory=dict)

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
