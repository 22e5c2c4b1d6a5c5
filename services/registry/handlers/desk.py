"""What operators ask for. Each request is one transaction; its event leaves with it."""

import base64
import secrets
from dataclasses import dataclass, replace

from libs.events.headers import new_event_id
from libs.events.topics import APPLICATION_APPLIED, OPERATOR_ACTED
from libs.faults import FAILED_PRECONDITION, NOT_FOUND, Poison
from libs.rpc.auth import digest
from libs.runtime.clock import Clock
from protos.common.v1.common_pb2 import Provider as ProviderMessage
from protos.registry.v1.registry_events_pb2 import CampaignRequested, OperatorActed
from services.registry.domain.application import complete
from services.registry.domain.bounds import Invalid
from services.registry.domain.prompts import prompt_of
from services.registry.domain.routing import with_keys
from services.registry.domain.values import Application
from services.registry.handlers.perform import publish
from services.registry.handlers.proposals import named_provider, propose
from services.registry.handlers.requests import ask
from services.registry.ports import Applied, Store, Work
from services.registry.wire import messages
from services.registry.wire.begin import kind_of, proposal, rows_alone
from services.registry.wire.events import ACTIONS
from services.registry.wire.values import message

KEY_BYTES = 32
MAX_TEXT = 4096
MAX_NAME = 255


@dataclass(frozen=True, slots=True)
class Desk:
    store: Store
    clock: Clock

    def apply(self, declared: Application) -> tuple[int, bool]:
        """Revision, and whether anything changed. Routing begins with the first revision.

        A running campaign keeps the policy it began with; a champion keeps its prompt and
        decoding until the next campaign makes another release.

        Raises:
            Poison: ``bad_application``.
        """
        try:
            application = complete(declared)
        except Invalid as invalid:
            raise refusal(invalid, "bad_application") from invalid
        with self.store.write(application.name) as work:
            known = work.applied()
            if known and known.application == application:
                return known.revision, False
            applied = Applied(application, known.revision + 1 if known else 1)
            work.apply(applied)
            work.shelf.declared_prompt(prompt_of(application))
            work.send(APPLICATION_APPLIED, messages.application_applied(applied))
            publish(work, with_keys(work.table(), work.keys()))
            return applied.revision, True

    def create_key(self, application: str) -> tuple[str, str]:
        """A new API key and its digest; only the digest is kept."""
        random = base64.urlsafe_b64encode(secrets.token_bytes(KEY_BYTES)).rstrip(b"=")
        key = f"pk-{random.decode()}"
        with self.store.write(application) as work:
            insist_on(work, application)
            work.add_key(digest(key))
            publish(work, with_keys(work.table(), work.keys()))
        return key, digest(key)

    def revoke_key(self, application: str, key_sha256: str) -> None:
        """
        Raises:
            Poison: ``not_found``.
        """
        with self.store.write(application) as work:
            if not work.revoke_key(key_sha256):
                raise Poison(f"{application} has no key {key_sha256[:80]}", code=NOT_FOUND)
            publish(work, with_keys(work.table(), work.keys()))

    def start_campaign(self, request: CampaignRequested) -> str:
        """The new campaign's id; ``request`` comes without one.

        Raises:
            Poison: ``not_found``, ``failed_precondition`` while another one is active that does
                not give way, ``bad_filter`` or ``bad_proposal``.
        """
        bounded(request.collection, request.requested_by, request.reason, request.override_reason)
        bounded(request.only.segment)
        rows_alone(request)
        with self.store.write(request.application) as work:
            insist_on(work, request.application)
            active = work.campaign(work.active_campaign())
            if active and not active.state.gives_way(kind_of(request)):
                raise Poison(
                    f"campaign {active.state.campaign_id} is active", code=FAILED_PRECONDITION
                )
            if request.HasField("proposal"):
                _propose(work, request)
            request.campaign_id = new_event_id()
            ask(work, request, self.clock)
            return request.campaign_id

    def act(self, application: str, action: OperatorActed) -> None:
        """
        Raises:
            Poison: ``unknown_action``, or ``failed_precondition`` when the campaign has ended.
        """
        bounded(action.operator, action.reason)
        if action.action not in ACTIONS:
            raise Poison("action: approve, pause, resume or abort", code="unknown_action")
        action.application = application
        with self.store.write(application) as work:
            kept = work.campaign(action.campaign_id)
            if kept is None:
                raise Poison(f"no campaign {action.campaign_id}", code=NOT_FOUND)
            if kept.state.ended:
                ended = f"campaign {action.campaign_id} is {kept.state.state.value} already"
                raise Poison(ended, code=FAILED_PRECONDITION)
            work.send(OPERATOR_ACTED, action)


def _propose(work: Work, request: CampaignRequested) -> None:
    """Check the proposal, and write a provider's declaration into it where it names one."""
    applied, asked = work.applied(), proposal(request)
    if applied is None or asked is None:
        return
    if request.collection or request.override_reason or request.HasField("only"):
        raise Poison("a proposal trains and evaluates nothing", code="bad_proposal")
    try:
        if asked.provider:
            provider = named_provider(applied.application, asked.provider)
            request.proposal.provider.CopyFrom(message(ProviderMessage, provider))
            asked = replace(asked, provider=provider)
        propose(work, applied.application, asked)
    except Invalid as invalid:
        raise refusal(invalid, "bad_proposal") from invalid


def refusal(invalid: Invalid, code: str) -> Poison:
    """The fault that names the field, which is the message's first word."""
    field = str(invalid).split(maxsplit=1)[0].rstrip(":")
    return Poison(str(invalid), code=code, param=field)


def insist_on(work: Work, application: str) -> None:
    if work.applied() is None:
        raise Poison(f"no application {application[:80]!r}", code=NOT_FOUND)


def bounded(*texts: str, most: int = MAX_TEXT) -> None:
    if any(len(text) > most for text in texts):
        raise Poison(f"texts have at most {most} characters", code="too_long")
