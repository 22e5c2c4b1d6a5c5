"""Campaigns that are asked for: by an operator, and by a runtime that has moved on."""

from itertools import count

import structlog

from libs.events.topics import CAMPAIGN_REQUESTED
from libs.runtime.clock import Clock
from protos.registry.v1.registry_events_pb2 import CampaignRequested, Proposal
from services.registry.domain.campaign import Campaign, State
from services.registry.domain.replay import state_sha256
from services.registry.domain.upgrades import stale, upgrade_id
from services.registry.domain.values import Engine
from services.registry.ports import KeptCampaign, Work

log = structlog.get_logger()


def new_campaign(application: str, campaign_id: str, clock: Clock) -> KeptCampaign:
    """One that nobody has asked for yet."""
    state = Campaign(campaign_id)
    return KeptCampaign(application, state, state_sha256(state), clock.now())


def ask(work: Work, request: CampaignRequested, clock: Clock) -> None:
    work.keep(new_campaign(request.application, request.campaign_id, clock))
    work.send(CAMPAIGN_REQUESTED, request)


def ask_for_upgrade(work: Work, application: str, clock: Clock) -> None:
    """Where the champion's engine is stale and no campaign is active, ask for the one that
    builds it again; once per engine and version of its runtime."""
    champion = work.table().champion
    if champion is None or work.active_campaign():
        return
    engine = champion.engine
    version = work.shelf.runtime_version(engine.runtime)
    if not stale(engine.runtime_version, version):
        return
    campaign_id = _untried(work, engine, version)
    if not campaign_id:
        return
    log.info("engine.upgrade_asked", engine=engine.digest, version=version)
    request = CampaignRequested(
        campaign_id=campaign_id,
        application=application,
        requested_by="the registry",
        reason=f"{engine.runtime} {engine.runtime_version} became {version}",
        proposal=Proposal(upgrade=True),
    )
    ask(work, request, clock)


def _untried(work: Work, engine: Engine, version: str) -> str:
    """An id for the upgrade; "" when it was tried, or waits to begin. One that came while
    another campaign was active, or gave way to one, was not tried."""
    for attempt in count(1):
        campaign_id = upgrade_id(engine, version, attempt)
        kept = work.campaign(campaign_id)
        if kept is None:
            return campaign_id
        gave_way = kept.state.state is State.SUPERSEDED
        came_second = kept.state.start is not None and kept.state.start.active_campaign_id
        if not (gave_way or came_second):
            break
    return ""
