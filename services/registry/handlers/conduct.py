"""The one path of every input: load the campaign, step, keep it, perform what it asks for.

All of it is one transaction, the outgoing events included. An input that has changed the
campaign before is left alone; one that changes nothing leaves no trace.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import structlog

from libs.events.topics import CAMPAIGN_TRANSITIONED, CANARY_EVIDENCE
from libs.faults import Poison
from libs.runtime.clock import Clock
from services.registry.domain.bounds import Invalid
from services.registry.domain.campaign import Campaign
from services.registry.domain.commands import Command, Transition
from services.registry.domain.events import (
    CampaignEvent,
    Cause,
    Requested,
    Start,
    Superseded,
    superseded,
)
from services.registry.domain.prompts import prompt_of
from services.registry.domain.replay import state_sha256
from services.registry.domain.step import step
from services.registry.domain.values import Proposal
from services.registry.handlers.perform import perform
from services.registry.handlers.proposals import propose
from services.registry.handlers.requests import ask_for_upgrade, new_campaign
from services.registry.ports import KeptCampaign, Store, Work
from services.registry.wire import messages

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Conduct:
    store: Store
    clock: Clock

    def begin(
        self,
        application: str,
        campaign_id: str,
        request: Callable[[Start], Requested],
        proposal: Proposal | None = None,
    ) -> None:
        """Begin a campaign, or refuse it where another one is active that does not give way.

        Raises:
            Poison: ``unknown_application``, ``incomplete`` without a campaign id.
        """
        if not campaign_id:
            raise Poison("campaign_id is empty", code="incomplete")
        with self.store.write(application) as work:
            kept = self._kept(work, application, campaign_id)
            if kept is None:
                kept = new_campaign(application, campaign_id, self.clock)
            if kept.state.sequence == 0:
                asked = request(_start(work, application, proposal))
                if self._makes_way(work, application, asked):
                    asked = request(_start(work, application, proposal))
                self._step(work, kept, asked)

    def take(
        self, application: str, campaign_id: str, make: Callable[[str], CampaignEvent]
    ) -> None:
        """Give an input to its campaign; for ``campaign_id`` "" to the one that is active.

        ``make`` translates the event for a campaign's id. Events of campaigns that nobody
        knows (a training run submitted by hand) are left alone.

        Raises:
            Poison: ``wrong_application`` when the campaign is another application's.
        """
        with self.store.write(application) as work:
            campaign_id = campaign_id or work.active_campaign()
            kept = self._kept(work, application, campaign_id)
            if kept is None:
                log.info("campaign.unknown", campaign_id=campaign_id, application=application)
                return
            self._step(work, kept, make(campaign_id))

    def _makes_way(self, work: Work, application: str, asked: Requested) -> bool:
        """End the active campaign where it gives way to what is asked and can be."""
        active = self._kept(work, application, asked.start.active_campaign_id)
        if active is None or asked.start.unmet or not active.state.gives_way(asked.kind):
            return False
        self._step(work, active, superseded(asked, active.state.campaign_id))
        return True

    def _kept(self, work: Work, application: str, campaign_id: str) -> KeptCampaign | None:
        kept = work.campaign(campaign_id)
        if kept is not None and kept.application != application:
            raise Poison(
                f"campaign {campaign_id} is {kept.application}'s, not {application}'s",
                code="wrong_application",
            )
        return kept

    def _step(self, work: Work, kept: KeptCampaign, event: CampaignEvent) -> None:
        campaign_id = kept.state.campaign_id
        if work.taken(campaign_id, event.cause.event_id):
            return
        state, commands = step(kept.state, event)
        if state == kept.state:
            return
        work.take(campaign_id, event.cause.event_id)
        pending = _with(kept.pending, event.cause)
        digest = state_sha256(state)
        moved = self._record(work, kept, state, commands, pending, digest)
        work.keep(replace(kept, state=state, sha256=digest, pending=() if moved else pending))
        for command in commands:
            perform(work, kept.application, state, command, self.clock.now())
        if state.ended and not isinstance(event, Superseded):  # the other's end asks for it
            ask_for_upgrade(work, kept.application, self.clock)

    def _record(
        self,
        work: Work,
        kept: KeptCampaign,
        state: Campaign,
        commands: tuple[Command, ...],
        pending: tuple[tuple[str, str], ...],
        digest: str,
    ) -> bool:
        """Keep and send the transitions of one step; False when it made none."""
        transitions = [command for command in commands if isinstance(command, Transition)]
        for number, transition in enumerate(transitions):
            event = messages.campaign_transitioned(
                state.campaign_id, kept.application, transition, self.clock.now()
            )
            if number == 0:
                event.input_event_ids.extend(event_id for _, event_id in pending)
            if transition.sequence == 1:
                event.start.CopyFrom(messages.campaign_start(state.begun, state.kind))
            if number == len(transitions) - 1:
                event.state_sha256 = digest
            work.keep_transition(event)
            work.send(CAMPAIGN_TRANSITIONED, event)
            log.info(
                "campaign.transitioned",
                campaign_id=state.campaign_id,
                from_state=transition.from_state,
                to_state=transition.to_state,
                share=transition.share,
                reason=transition.reason,
            )
        return bool(transitions)


def _start(work: Work, application: str, proposal: Proposal | None) -> Start:
    applied = work.applied()
    if applied is None:
        raise Poison(f"application {application} was never applied", code="unknown_application")
    champion = work.table().champion
    tests, promotions = work.tests()
    start = Start(
        application=applied.application,
        revision=applied.revision,
        champion=champion,
        champion_model=work.model(champion.model_digest) if champion else None,
        ordinal=tests + 1,
        promotions=promotions,
        active_campaign_id=work.active_campaign(),
        prompt=work.shelf.declared_prompt(prompt_of(applied.application)),
    )
    return _proposing(work, start, proposal) if proposal else start


def _proposing(work: Work, start: Start, proposal: Proposal) -> Start:
    try:
        found = propose(work, start.application, proposal)
    except Invalid as invalid:
        return replace(start, unmet=str(invalid))
    return replace(start, proposed=found.release, rebuilt=found.rebuilt, held_out=found.held_out)


def _with(pending: tuple[tuple[str, str], ...], cause: Cause) -> tuple[tuple[str, str], ...]:
    """``pending`` and the new input. Evidence is cumulative: the newest stands for the rest."""
    if cause.topic == CANARY_EVIDENCE.name:
        pending = tuple(each for each in pending if each[0] != CANARY_EVIDENCE.name)
    return (*pending, (cause.topic, cause.event_id))
