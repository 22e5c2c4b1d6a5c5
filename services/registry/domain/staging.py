"""From a model to a release that is loaded, and from the end of its canary to what it earned."""

from dataclasses import replace

from services.registry.domain.campaign import Campaign, State
from services.registry.domain.commands import Approve, Expose, RequestEngine, Role
from services.registry.domain.events import Cause
from services.registry.domain.moves import Step, move, promote
from services.registry.domain.prompts import for_training
from services.registry.domain.terms import complete_engine
from services.registry.domain.upgrades import as_it_was
from services.registry.domain.values import Artifact, Evidence, Model, Release


def build(
    state: Campaign,
    model: Model,
    held_out: Artifact | None,
    cause: Cause,
    reason: str,
    evidence: tuple[Evidence, ...] = (),
) -> Step:
    """Into ``building``: an engine of ``model`` is asked for."""
    application, champion = state.begun.application, state.begun.champion
    policy = complete_engine(application.engine)
    if state.upgrade and champion:
        policy = as_it_was(champion.engine, policy)
    wanted = RequestEngine(
        build_id=f"build-{state.campaign_id}",
        model=model,
        policy=policy,
        held_out=held_out,
        decoding=application.decoding,
        prompt_template=template(state),
    )
    return move(state, State.BUILDING, cause, reason, evidence, wanted)


def load(
    state: Campaign,
    release: Release,
    cause: Cause,
    reason: str,
    evidence: tuple[Evidence, ...] = (),
) -> Step:
    """Into ``loading``: replicas fetch the release's engine, and the shadow's share waits."""
    share = state.policy.shadow_share if state.begun.champion else 0.0
    expose = Expose(release, Role.SHADOW, share)
    staged = replace(state, release=release)
    return move(staged, State.LOADING, cause, reason, evidence, expose)


def crown(
    state: Campaign,
    release: Release,
    cause: Cause,
    reason: str,
    evidence: tuple[Evidence, ...] = (),
) -> Step:
    promoted, commands = promote(state, release, cause, reason, evidence)
    return promoted, commands + harmless(release)


def harmless(release: Release) -> tuple[Approve, ...]:
    """A provider that came to the end of its canary without harm may be a fallback."""
    return (Approve(release.engine.provider),) if release.engine.provider else ()


def template(state: Campaign) -> str:
    """The prompt template that the weights are tuned and measured with."""
    prompt = state.begun.prompt
    return for_training(prompt) if prompt else state.begun.application.prompt_template
