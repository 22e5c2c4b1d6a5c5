"""Transitions of a campaign: each moves the state, writes it down, and says what follows."""

from dataclasses import replace

from services.registry.domain.campaign import ENDS, ON_THE_TABLE, Campaign, State
from services.registry.domain.commands import Command, Crown, Transition, Withdraw
from services.registry.domain.events import Cause
from services.registry.domain.values import Evidence, Release

Step = tuple[Campaign, tuple[Command, ...]]


def move(
    state: Campaign,
    to: State,
    cause: Cause,
    reason: str,
    evidence: tuple[Evidence, ...] = (),
    *follow: Command,
) -> Step:
    """``state`` in ``to`` (which may be where it is: paused, next stage), then ``follow``."""
    sequence = state.sequence + 1
    transition = Transition(
        sequence=sequence,
        from_state=state.state.value,
        to_state=to.value,
        share=state.share,
        cause=cause,
        reason=reason,
        evidence=evidence,
        policy_revision=state.begun.revision,
    )
    moved = replace(state, state=to, sequence=sequence, outcome_reason=reason if to in ENDS else "")
    return moved, (transition, *follow)


def end(
    state: Campaign, to: State, cause: Cause, reason: str, evidence: tuple[Evidence, ...] = ()
) -> Step:
    """End without a promotion: the candidate leaves the table if it is on it."""
    follow = (Withdraw(),) if state.state in ON_THE_TABLE else ()
    ended = replace(state, share=0.0, awaiting_approval=False)
    return move(ended, to, cause, reason, evidence, *follow)


def promote(
    state: Campaign,
    release: Release,
    cause: Cause,
    reason: str,
    evidence: tuple[Evidence, ...] = (),
) -> Step:
    return move(replace(state, share=1.0), State.PROMOTED, cause, reason, evidence, Crown(release))


def await_approval(
    state: Campaign, cause: Cause, reason: str, evidence: tuple[Evidence, ...] = ()
) -> Step:
    """Stay, until a person approves."""
    waiting = replace(state, awaiting_approval=True)
    return move(waiting, state.state, cause, f"waits for approval: {reason}", evidence)
