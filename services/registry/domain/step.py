"""The campaign's state machine: ``step(state, event) -> (state, commands)``.

An event is first learnt (`_learn`: is it awaited here?), then the campaign moves by what it
knows (`advance`). Events that are repeated, late or meant for another state
change nothing, so that redelivery is harmless and a replay arrives at the same state.
"""

from dataclasses import replace

from services.registry.domain.advance import advance
from services.registry.domain.campaign import ON_THE_TABLE, Built, Campaign, Evaluation, State
from services.registry.domain.commands import RequestDataset
from services.registry.domain.error_budget import threshold
from services.registry.domain.events import (
    Action,
    CampaignEvent,
    CanaryEvidence,
    Cause,
    DatasetRefused,
    DatasetVersioned,
    EngineBuilt,
    EngineFailed,
    EngineLoaded,
    EvaluationCompleted,
    EvaluationFailed,
    OperatorActed,
    Requested,
    Superseded,
    TrainingCompleted,
    TrainingFailed,
    TrainingStarted,
)
from services.registry.domain.moves import Step, end, move
from services.registry.domain.staging import build, load
from services.registry.domain.values import Evidence


def step(state: Campaign, event: CampaignEvent) -> Step:
    """The state after ``event``, and what is to be done in the world."""
    if event.campaign_id != state.campaign_id or state.ended:
        return state, ()
    if isinstance(event, Requested):
        return _begin(state, event) if state.sequence == 0 else (state, ())
    if state.sequence == 0:
        return state, ()
    if isinstance(event, OperatorActed):
        return _act(state, event)
    if isinstance(event, Superseded):
        if not state.gives_way(event.kind):
            return state, ()
        return end(state, State.SUPERSEDED, event.cause, f"gave way to campaign {event.by}")
    failure = _failure(state, event)
    if failure:
        return end(state, State.FAILED, event.cause, failure)
    if isinstance(event, EngineLoaded) and _lost(state, event):
        reason = f"{event.replica} cannot serve the candidate: {event.reason}"
        to = State.ROLLED_BACK if state.state is State.CANARY else State.FAILED
        return end(state, to, event.cause, reason)
    learnt = _learn(state, event)
    return (state, ()) if learnt == state else advance(learnt, event.cause)


def _begin(state: Campaign, event: Requested) -> Step:
    start = event.start
    state = replace(
        state,
        kind=event.kind,
        collection=event.collection,
        override_reason=event.override_reason,
        start=start,
    )
    if start.active_campaign_id:
        return end(
            state, State.FAILED, event.cause, f"campaign {start.active_campaign_id} is active"
        )
    if start.unmet:
        return end(state, State.FAILED, event.cause, start.unmet)
    budget = (
        Evidence("alpha", state.alpha, n=start.ordinal),
        Evidence("log_e_promote_threshold", threshold(state.alpha), n=start.ordinal),
        Evidence("promotions_before", start.promotions),
    )
    if start.rebuilt:
        return build(state, start.rebuilt, start.held_out, event.cause, event.reason, budget)
    if start.proposed:
        return load(state, start.proposed, event.cause, event.reason, budget)
    query = start.application.dataset
    if event.collection:
        query = replace(query, collection=event.collection)
    query = replace(query, only=event.only or query.only, always=event.always or query.always)
    return move(state, State.PREPARING, event.cause, event.reason, budget, RequestDataset(query))


def _failure(state: Campaign, event: CampaignEvent) -> str:
    """Why the campaign cannot go on; "" when ``event`` is no failure of what it is doing now."""
    match state.state, event:
        case State.PREPARING, DatasetRefused(code=code, reason=reason) if not state.dataset:
            return f"no dataset version, {code}: {reason}"
        case State.TRAINING, TrainingFailed(code=code, reason=reason) if not state.candidate:
            return f"training failed, {code}: {reason}"
        case State.EVALUATING, EvaluationFailed(code=code, reason=reason) if not state.evaluation:
            return f"evaluation reached no verdict, {code}: {reason}"
        case State.BUILDING, EngineFailed(code=code, reason=reason) as failed if not state.built:
            if failed.model_digest == _built_of(state):
                return f"no engine, {code}: {reason}"
        case State.SHADOW | State.CANARY, EngineLoaded(ready=False) as loaded:
            champion = state.begun.champion
            if champion and loaded.release_digest == champion.digest:
                return f"{loaded.replica} cannot serve the champion: {loaded.reason}"
    return ""


def _lost(state: Campaign, event: EngineLoaded) -> bool:
    release = state.release
    return (
        state.state in ON_THE_TABLE
        and not event.ready
        and release is not None
        and release.digest == event.release_digest
    )


def _learn(state: Campaign, event: CampaignEvent) -> Campaign:
    """``state`` with the fact in it, or ``state`` itself when nobody waits for it."""
    match state.state, event:
        case State.PREPARING, DatasetVersioned(dataset=dataset) if not state.dataset:
            return replace(state, dataset=dataset)
        case State.TRAINING, TrainingStarted(attempt=attempt):
            return replace(state, attempts=max(state.attempts, attempt))
        case State.TRAINING, TrainingCompleted(model=model) if not state.candidate:
            return replace(state, candidate=model)
        case State.EVALUATING, EvaluationCompleted() as done if not state.evaluation:
            if state.candidate and done.candidate_digest == state.candidate.digest:
                evaluation = Evaluation(done.passed, done.reasons, done.evidence)
                return replace(state, evaluation=evaluation)
        case State.BUILDING, EngineBuilt() as done if not state.built:
            if done.model_digest == _built_of(state):
                built = Built(done.engine, done.passed, done.reasons, done.evidence)
                return replace(state, built=built)
        case State.LOADING, EngineLoaded(ready=True) as loaded:
            if state.release and loaded.release_digest == state.release.digest:
                return replace(state, loaded=True)
        case State.SHADOW | State.CANARY, CanaryEvidence() as evidence if _fresh(state, evidence):
            return replace(state, observed=evidence.observed)
    return state


def _built_of(state: Campaign) -> str:
    """Digest of the model whose engine is being built."""
    model = state.candidate or state.begun.rebuilt
    return model.digest if model else ""


def _fresh(state: Campaign, evidence: CanaryEvidence) -> bool:
    """Of this phase, and not older than what is known."""
    seen, known = evidence.observed, state.observed
    if seen.phase.value != state.state.value:
        return False
    if known is None:
        return True
    answers = seen.candidate_answered + seen.candidate_failed + seen.champion_answered
    before = known.candidate_answered + known.candidate_failed + known.champion_answered
    return (
        answers + seen.champion_failed >= before + known.champion_failed
        and seen.scored >= known.scored
        and seen.share >= known.share
    )


def _act(state: Campaign, event: OperatorActed) -> Step:
    cause = event.cause
    if cause.event_id in state.acted:
        return state, ()
    state = replace(state, acted=(*state.acted, cause.event_id))
    told = f"by {event.operator}: {event.reason}" if event.reason else f"by {event.operator}"
    match event.action:
        case Action.ABORT:
            return end(state, State.ABORTED, cause, f"aborted {told}")
        case Action.PAUSE if not state.paused:
            return move(replace(state, paused=True), state.state, cause, f"paused {told}")
        case Action.RESUME if state.paused:
            state = replace(state, paused=False)
            return _onward(move(state, state.state, cause, f"resumed {told}"), cause)
        case Action.APPROVE if state.awaiting_approval:
            state = replace(state, awaiting_approval=False, approved=True)
            return _onward(move(state, state.state, cause, f"approved {told}"), cause)
    return state, ()


def _onward(done: Step, cause: Cause) -> Step:
    """``done``, and then whatever waited for it."""
    state, commands = done
    state, more = advance(state, cause)
    return state, commands + more
