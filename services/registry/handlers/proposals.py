"""What an operator proposes, made into the release that is tried."""

from dataclasses import dataclass, replace

from services.registry.domain.application import checked_decoding
from services.registry.domain.bounds import Invalid
from services.registry.domain.policies import Provider
from services.registry.domain.prompts import prompt_of
from services.registry.domain.releases import (
    release_of,
    with_decoding,
    with_prompt,
    with_provider,
)
from services.registry.domain.terms import checked_provider
from services.registry.domain.values import (
    Application,
    Artifact,
    Model,
    Proposal,
    Release,
)
from services.registry.ports import Work


@dataclass(frozen=True, slots=True)
class Proposed:
    """``rebuilt``: the model whose engine is built first, with ``held_out`` rows for its gate."""

    release: Release
    rebuilt: Model | None = None
    held_out: Artifact | None = None


def propose(work: Work, application: Application, proposal: Proposal) -> Proposed:
    """The release that ``proposal`` means now.

    Raises:
        Invalid: naming what is not there, or that nothing would differ.
    """
    champion = work.table().champion
    if proposal.upgrade:
        return _upgraded(work, champion, proposal)
    release = _changed(work, _base(work, application, champion, proposal), proposal)
    if proposal.rebuild:
        return _rebuilt(work, release)
    if champion and release.digest == champion.digest:
        raise Invalid("proposal: nothing in it differs from the champion")
    return Proposed(release)


def named_provider(application: Application, given: Provider) -> Provider:
    """``given`` whole, or the declared fallback of its name.

    Raises:
        Invalid: no such fallback, or a field is wrong.
    """
    if given != Provider(name=given.name):
        return checked_provider(given)
    for declared in application.serving.fallbacks:
        if declared.name == given.name:
            return declared
    known = [declared.name for declared in application.serving.fallbacks]
    raise Invalid(f"provider.name {given.name[:80]!r}: serving.fallbacks declares {known}")


def _base(
    work: Work, application: Application, champion: Release | None, proposal: Proposal
) -> Release:
    if proposal.release_digest:
        found = work.release(proposal.release_digest)
        if found is None:
            raise Invalid(f"release_digest {proposal.release_digest[:80]!r}: no such release")
        return found
    if champion:
        return champion
    if proposal.provider is None:
        raise Invalid("proposal: there is no champion yet; name a release or a provider")
    declared = work.shelf.declared_prompt(prompt_of(application))
    return release_of(application, Model(), declared)


def _changed(work: Work, release: Release, proposal: Proposal) -> Release:
    if proposal.prompt_version:
        prompt = work.shelf.prompt(proposal.prompt_version)
        if prompt is None:
            raise Invalid(f"prompt_version {proposal.prompt_version}: no such version")
        release = with_prompt(release, prompt)
    if proposal.decoding:
        release = with_decoding(release, checked_decoding(proposal.decoding))
    if proposal.provider:
        if proposal.rebuild:
            raise Invalid("rebuild: an external provider has no engine of ours")
        release = with_provider(release, checked_provider(proposal.provider))
    return release


def _upgraded(work: Work, champion: Release | None, proposal: Proposal) -> Proposed:
    if proposal != Proposal(upgrade=True):
        raise Invalid("upgrade: goes alone, it changes the champion's engine only")
    if champion is None:
        raise Invalid("upgrade: there is no champion yet")
    return _rebuilt(work, champion)


def _rebuilt(work: Work, release: Release) -> Proposed:
    model = work.model(release.model_digest)
    if model is None or model.merged is None:
        raise Invalid("rebuild: the weights of this release are not known")
    dataset = work.dataset(model.dataset_digest)
    held_out = dataset.held_out if dataset else None
    return Proposed(release, replace(model, engine=None), held_out)
