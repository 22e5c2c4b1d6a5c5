"""How a campaign moves on by what it knows."""

from dataclasses import replace

from services.registry.domain.campaign import Built, Campaign, Evaluation, State
from services.registry.domain.commands import Expose, RegisterCandidate, RequestTraining, Role
from services.registry.domain.events import Cause, Observed
from services.registry.domain.moves import Step, await_approval, end, move
from services.registry.domain.releases import release_of, with_engine
from services.registry.domain.rollout import (
    Move,
    Verdict,
    canary_progress,
    canary_verdict,
    figures,
    shadow_progress,
    shadow_verdict,
)
from services.registry.domain.staging import build, crown, harmless, load, template
from services.registry.domain.values import Dataset, Evidence, Model, Release


def advance(state: Campaign, cause: Cause) -> Step:
    """At most one transition on, if what is known allows it. Paused: only out of harm."""
    match state:
        case Campaign(state=State.SHADOW | State.CANARY, release=Release() as release):
            if state.observed:
                return _observe(state, release, state.observed, cause)
        case Campaign(paused=True) | Campaign(awaiting_approval=True):
            return state, ()
        case Campaign(state=State.PREPARING, dataset=Dataset() as dataset):
            return _train(state, dataset, cause)
        case Campaign(
            state=State.TRAINING, dataset=Dataset() as dataset, candidate=Model() as candidate
        ):
            return _evaluate(state, dataset, candidate, cause)
        case Campaign(
            state=State.EVALUATING, candidate=Model() as candidate, evaluation=Evaluation() as seen
        ):
            return _judge(state, candidate, seen, cause)
        case Campaign(state=State.BUILDING, built=Built() as built):
            return _take_engine(state, built, cause)
        case Campaign(state=State.LOADING, loaded=True, release=Release() as release):
            return _serve(state, release, cause)
    return state, ()


def progress(state: Campaign) -> str:
    """How far it is in what takes long, one sentence; "" where nothing is counted."""
    if state.awaiting_approval:
        return "waits for approval"
    match state.state:
        case State.SHADOW:
            return shadow_progress(state.observed, state.policy)
        case State.CANARY:
            return canary_progress(state.observed, state.policy, state.stage, state.alpha)
    return ""


def _train(state: Campaign, dataset: Dataset, cause: Cause) -> Step:
    recipe = state.begun.application.recipe
    run = RequestTraining(f"run-{state.campaign_id}", dataset, recipe, template(state))
    reason = f"dataset version {dataset.dataset_digest[:12]}"
    return move(state, State.TRAINING, cause, reason, (), run)


def _evaluate(state: Campaign, dataset: Dataset, candidate: Model, cause: Cause) -> Step:
    application, reference = state.begun.application, state.begun.champion_model
    if reference and candidate.engine is None:
        reference = replace(reference, engine=None)  # both answer with their weights
    candidacy = RegisterCandidate(
        candidate=candidate,
        reference=reference,
        dataset=dataset,
        gate=application.gate,
        decoding=application.decoding,
        prompt_template=template(state),
    )
    reason = f"trained model {candidate.digest[:12]}"
    return move(state, State.EVALUATING, cause, reason, (), candidacy)


def _judge(state: Campaign, candidate: Model, evaluation: Evaluation, cause: Cause) -> Step:
    """The offline gate. An override passes over a failed one, and is written down."""
    reason = "; ".join(evaluation.reasons)
    if not evaluation.passed and not state.override_reason:
        return end(state, State.REJECTED, cause, reason, evaluation.evidence)
    if not evaluation.passed:
        reason = f"failed evaluation overridden ({state.override_reason}): {reason}"
    if candidate.engine is None:
        held_out = state.dataset.held_out if state.dataset else None
        return build(state, candidate, held_out, cause, reason, evaluation.evidence)
    release = release_of(state.begun.application, candidate, state.begun.prompt)
    return load(state, release, cause, reason, evaluation.evidence)


def _take_engine(state: Campaign, built: Built, cause: Cause) -> Step:
    """The engine's gate: it must answer as its weights do. No override passes over it."""
    reason = f"engine {built.engine.digest[:12]}: {'; '.join(built.reasons)}"
    if not built.passed:
        return end(state, State.REJECTED, cause, reason, built.evidence)
    start = state.begun
    if state.upgrade and start.champion and start.champion.engine.digest == built.engine.digest:
        version = f"{built.engine.runtime} {built.engine.runtime_version}"
        return end(state, State.FAILED, cause, f"the builder still has {version}", built.evidence)
    if start.proposed:
        release = with_engine(start.proposed, built.engine)
    else:
        model = replace(state.candidate or Model(), engine=built.engine)
        release = release_of(start.application, model, start.prompt)
    return load(state, release, cause, reason, built.evidence)


def _serve(state: Campaign, release: Release, cause: Cause) -> Step:
    """The engine answers: as a shadow, or, being the first release, as champion."""
    if state.begun.champion:
        return move(state, State.SHADOW, cause, "the candidate's engine answers")
    if state.policy.review and not state.approved:
        return await_approval(state, cause, "the first release is ready")
    return crown(state, release, cause, "the application's first release")


def _observe(state: Campaign, release: Release, observed: Observed, cause: Cause) -> Step:
    canary = state.state is State.CANARY
    verdict = (
        canary_verdict(observed, state.policy, state.stage, state.alpha)
        if canary
        else shadow_verdict(observed, state.policy)
    )
    evidence = figures(observed, state.policy, state.alpha)
    if verdict.move is Move.WITHDRAW:
        to = State.ROLLED_BACK if canary else State.REJECTED
        return end(state, to, cause, verdict.reason, evidence)
    if state.paused or state.awaiting_approval:
        return state, ()
    if state.approved:
        return crown(state, release, cause, "approved", evidence)
    return _follow(state, release, verdict, cause, evidence)


def _follow(
    state: Campaign,
    release: Release,
    verdict: Verdict,
    cause: Cause,
    evidence: tuple[Evidence, ...],
) -> Step:
    verdict = _of_upgrade(verdict) if state.upgrade else verdict
    match verdict.move:
        case Move.PROMOTE if state.policy.review:
            return await_approval(state, cause, verdict.reason, evidence)
        case Move.PROMOTE:
            return crown(state, release, cause, verdict.reason, evidence)
        case Move.GIVE_UP:
            ended, commands = end(state, State.ROLLED_BACK, cause, verdict.reason, evidence)
            return ended, commands + harmless(release)
        case Move.ADVANCE:
            return _next_stage(state, release, cause, verdict.reason, evidence)
    return state, ()


def _of_upgrade(verdict: Verdict) -> Verdict:
    """The same weights, held to them by the engine's gate: the shadow is its last trial."""
    return Verdict(Move.PROMOTE, verdict.reason) if verdict.move is Move.ADVANCE else verdict


def _next_stage(
    state: Campaign, release: Release, cause: Cause, reason: str, evidence: tuple[Evidence, ...]
) -> Step:
    """From the shadow into the canary, or to the canary's next share."""
    first = state.state is State.SHADOW
    stage = 0 if first else state.stage + 1
    share = state.policy.stages[stage].share
    staged = replace(
        state,
        stage=stage,
        share=share,
        tested=True,
        observed=None if first else state.observed,
    )
    expose = Expose(release, Role.CANARY, share)
    return move(staged, State.CANARY, cause, reason, evidence, expose)
