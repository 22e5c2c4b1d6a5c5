"""Requests for engines, and the ends of campaigns: from topics and from the operator's door."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import structlog

from libs.events.delivery import Delivery
from libs.faults import NOT_FOUND, Poison
from libs.sql.job import Job
from protos.registry.v1.registry_events_pb2 import CampaignTransitioned
from protos.training.v1.training_events_pb2 import EngineRequested
from protos.training.v1.training_service_pb2 import EngineBuild
from services.trainer.handlers.build import Workbench, bench_for
from services.trainer.ports import Builds, Campaigns
from services.trainer.wire import building

log = structlog.get_logger()

ENDS: Final = frozenset({"promoted", "rejected", "rolled_back", "failed", "aborted", "superseded"})
"""States of a campaign after which nobody waits for its work."""
MOST: Final = 500
DEFAULT: Final = 50


@dataclass(frozen=True, slots=True)
class OnEngineRequested:
    """Queues a build. A second request with its build id changes nothing."""

    builds: Builds
    campaigns: Campaigns

    def __call__(self, delivery: Delivery[EngineRequested]) -> None:
        request = completed(building.identified(delivery.event), self.builds)
        fresh = self.builds.submit(request.build_id, request.SerializeToString(deterministic=True))
        log.info("training.engine_requested", build_id=request.build_id, fresh=fresh)
        if request.campaign_id and self.campaigns.ended(request.campaign_id):
            self.builds.cancel(request.build_id, f"campaign {request.campaign_id} has ended")


@dataclass(frozen=True, slots=True)
class OnCampaignTransitioned:
    """The end of a campaign cancels what is done for it."""

    campaigns: Campaigns

    def __call__(self, delivery: Delivery[CampaignTransitioned]) -> None:
        event = delivery.event
        if event.to_state not in ENDS or not event.campaign_id:
            return
        cancelled = self.campaigns.end(event.campaign_id)
        if cancelled:
            log.info("campaign.ended", campaign_id=event.campaign_id, cancelled=cancelled)


@dataclass(frozen=True, slots=True)
class SubmitEngine:
    """The operator's request: like the topic's, but one that cannot be built is refused at once."""

    builds: Builds
    versions: Mapping[str, str]
    benches: Mapping[str, Workbench]

    def __call__(self, request: EngineRequested) -> EngineBuild:
        request = completed(building.identified(request), self.builds)
        bench_for(building.buildable(request), self.benches)
        self.builds.submit(request.build_id, request.SerializeToString(deterministic=True))
        return building.build(known(self.builds.get(request.build_id)), self.versions)


@dataclass(frozen=True, slots=True)
class GetEngine:
    builds: Builds
    versions: Mapping[str, str]

    def __call__(self, build_id: str) -> EngineBuild:
        return building.build(known(self.builds.get(build_id)), self.versions)


@dataclass(frozen=True, slots=True)
class CancelEngine:
    builds: Builds
    versions: Mapping[str, str]

    def __call__(self, build_id: str) -> EngineBuild:
        job = self.builds.cancel(build_id, "cancelled by an operator")
        return building.build(known(job), self.versions)


@dataclass(frozen=True, slots=True)
class ListEngines:
    builds: Builds
    versions: Mapping[str, str]

    def __call__(self, application: str, model_digest: str, page_size: int) -> list[EngineBuild]:
        limit = min(page_size or DEFAULT, MOST)
        found = self.builds.newest(application, model_digest, limit)
        return [building.build(job, self.versions) for job in found]


def completed(request: EngineRequested, builds: Builds) -> EngineRequested:
    """The request with what it leaves out, from the last build of the same model."""
    if request.held_out.uri and request.model.merged.uri:
        return request
    full = EngineRequested()
    full.CopyFrom(request)
    for job in builds.newest(request.application, request.model.digest, MOST):
        known = building.request_of(job)
        if not known.held_out.uri or job.key == request.build_id:
            continue
        if not full.held_out.uri:
            full.held_out.CopyFrom(known.held_out)
            full.prompt_template = request.prompt_template or known.prompt_template
        if not full.model.merged.uri:
            full.model.CopyFrom(known.model)
        break
    return full


def known(job: Job | None) -> Job:
    if job is None:
        raise Poison("there is no such build", code=NOT_FOUND)
    return job
