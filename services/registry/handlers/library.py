"""Prompts that may be tried, and providers that may answer for want of an engine."""

from dataclasses import dataclass, replace

from libs.events.topics import OPERATOR_ACTED
from libs.faults import NOT_FOUND, Poison
from libs.runtime.clock import Clock
from protos.registry.v1.registry_events_pb2 import OPERATOR_ACTION_APPROVE, OperatorActed
from services.registry.domain.bounds import Invalid
from services.registry.domain.policies import Provider
from services.registry.domain.prompts import complete_prompt, prompt_of
from services.registry.domain.terms import complete_serving, identity
from services.registry.domain.values import Prompt
from services.registry.handlers.desk import MAX_NAME, bounded, insist_on, refusal
from services.registry.handlers.perform import publish
from services.registry.ports import Applied, Approval, Catalogue, KeptPrompt, Store

Answerer = tuple[Provider, Approval | None]
"""A declared fallback, and why it may answer; None: it may not yet."""


@dataclass(frozen=True, slots=True)
class Library:
    store: Store
    catalogue: Catalogue
    clock: Clock

    def create_prompt(self, application: str, given: Prompt, operator: str) -> KeptPrompt:
        """The same template, variables and bound again are the version that they were.

        Raises:
            Poison: ``bad_prompt`` naming what is wrong, ``not_found``.
        """
        bounded(operator, most=MAX_NAME)
        try:
            prompt = complete_prompt(replace(given, version=0))
        except Invalid as invalid:
            raise refusal(invalid, "bad_prompt") from invalid
        with self.store.write(application) as work:
            insist_on(work, application)
            kept = work.shelf.keep_prompt(prompt, operator or "an operator")
        return KeptPrompt(application, kept, operator, self.clock.now())

    def is_declared(self, kept: KeptPrompt) -> bool:
        """Whether new models of the application are tuned and served with it."""
        applied = self.catalogue.application(kept.application)
        if applied is None:
            return False
        declared, prompt = prompt_of(applied.application), kept.prompt
        return (declared.template, declared.variables) == (prompt.template, prompt.variables)

    def providers(self, application: str) -> list[Answerer]:
        """The declared fallbacks, in the order in which they are tried.

        Raises:
            Poison: ``not_found``.
        """
        known = {identity(each.provider): each for each in self.catalogue.approvals(application)}
        declared = _declared(self.catalogue.application(application), application)
        return [(provider, known.get(identity(provider))) for provider in declared]

    def approve(self, application: str, name: str, operator: str, reason: str) -> Answerer:
        """A person's word instead of a campaign's evidence. It is on the record.

        Raises:
            Poison: ``not_found``, ``bad_approval`` without a name and a reason.
        """
        bounded(operator, most=MAX_NAME)
        bounded(reason)
        if not (operator and reason):
            raise Poison("an approval has an operator and a reason", code="bad_approval")
        with self.store.write(application) as work:
            found = _declared(work.applied(), application)
            provider = next((each for each in found if each.name == name), None)
            if provider is None:
                raise Poison(f"serving.fallbacks declares no {name[:80]!r}", code=NOT_FOUND)
            work.shelf.approve(Approval(provider, "", operator, reason, self.clock.now()))
            acted = OperatorActed(
                application=application,
                action=OPERATOR_ACTION_APPROVE,
                operator=operator,
                reason=reason,
                provider=name,
            )
            work.send(OPERATOR_ACTED, acted)
            publish(work, work.table())
            approvals = {identity(each.provider): each for each in work.shelf.approvals()}
            return provider, approvals[identity(provider)]


def _declared(applied: Applied | None, application: str) -> tuple[Provider, ...]:
    if applied is None:
        raise Poison(f"no application {application[:80]!r}", code=NOT_FOUND)
    return complete_serving(applied.application.serving).fallbacks
