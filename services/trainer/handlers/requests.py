"""Requests: from the topic and from the operator's door, to durable runs."""

from dataclasses import dataclass

import structlog

from libs.events.delivery import Delivery
from libs.faults import Poison
from libs.sql.job import Job
from protos.training.v1.training_events_pb2 import TrainingRequested
from services.trainer.ports import Campaigns, Runs
from services.trainer.wire import training

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class OnTrainingRequested:
    """Queues a run. A second request with its run id changes nothing.

    A bad recipe or dataset is queued too: the run fails, and its campaign hears of it.
    """

    runs: Runs
    campaigns: Campaigns

    def __call__(self, delivery: Delivery[TrainingRequested]) -> None:
        request = training.identified(delivery.event)
        fresh = self.runs.submit(request.run_id, request.SerializeToString(deterministic=True))
        log.info("training.requested", run_id=request.run_id, fresh=fresh)
        if request.campaign_id and self.campaigns.ended(request.campaign_id):
            self.runs.cancel(request.run_id, f"campaign {request.campaign_id} has ended")


@dataclass(frozen=True, slots=True)
class Submit:
    """The operator's request: like the topic's, but a bad recipe is refused at once."""

    runs: Runs

    def __call__(self, request: TrainingRequested) -> Job:
        training.recipe(training.identified(request).recipe)
        self.runs.submit(request.run_id, request.SerializeToString(deterministic=True))
        return _known(self.runs.get(request.run_id), request.run_id)


@dataclass(frozen=True, slots=True)
class Get:
    runs: Runs

    def __call__(self, run_id: str) -> Job:
        return _known(self.runs.get(run_id), run_id)


@dataclass(frozen=True, slots=True)
class Cancel:
    """Ends a queued run at once and a running one within a heartbeat; an ended one stays."""

    runs: Runs

    def __call__(self, run_id: str) -> Job:
        return _known(self.runs.cancel(run_id, "cancelled by an operator"), run_id)


def _known(job: Job | None, run_id: str) -> Job:
    if job is None:
        raise Poison(f"there is no run {run_id[:128]!r}", code="not_found")
    return job
