"""Verdicts on shadow and canary evidence. Each rule is stated where it is applied."""

from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

from services.registry.domain.error_budget import threshold
from services.registry.domain.events import Observed
from services.registry.domain.values import Evidence, Rollout

SHADOW_FAILURES: Final = 0.02
"""Share of mirrored requests that may fail."""
LEAST_FAILURES: Final = 3
"""Fewer failures than this never condemn a candidate by themselves."""
FAILURE_RATIO: Final = 5.0
"""A canary that fails this many times as often as the champion is withdrawn."""
SAME_SHARE: Final = 1e-6


class Move(Enum):
    """``WITHDRAW`` protects users: it is done even while the campaign is paused."""

    STAY = auto()
    ADVANCE = auto()
    PROMOTE = auto()
    WITHDRAW = auto()
    GIVE_UP = auto()


@dataclass(frozen=True, slots=True)
class Verdict:
    move: Move
    reason: str = ""


STAY: Final = Verdict(Move.STAY)


def shadow_verdict(observed: Observed, policy: Rollout) -> Verdict:
    """At most 2 % may fail: judged at ``shadow_requests``, and before that from 3 failures on."""
    failed, mirrored = observed.candidate_failed, observed.mirrored
    too_many = failed > SHADOW_FAILURES * mirrored
    told = f"{failed} of {mirrored} mirrored requests failed"
    if too_many and (failed >= LEAST_FAILURES or mirrored >= policy.shadow_requests):
        return Verdict(Move.WITHDRAW, f"{told}, more than {SHADOW_FAILURES:.0%}")
    if mirrored >= policy.shadow_requests:
        return Verdict(Move.ADVANCE, told)
    return STAY


def canary_verdict(observed: Observed, policy: Rollout, stage: int, alpha: float) -> Verdict:
    """What the evidence of a canary in ``stage`` (0, 1, ...) says.

    1. Harm first, at any share: the rollback e-value reaches 1 / policy.alpha, or the
       candidate fails clearly more often than the champion.
    2. Promotion in the last stage only, where half of the users have seen it: the promotion
       e-value reaches 1 / ``alpha``, this campaign's part of the error budget. The evidence
       is cumulative, so that what earlier stages showed counts.
    3. Futile after ``max_scored`` scored answers: the champion stays.
    4. Next stage once this one has answered its requests.
    """
    harm = _harm(observed, policy)
    if harm:
        return Verdict(Move.WITHDRAW, harm)
    present = _is_of(observed, policy, stage)
    last = stage == len(policy.stages) - 1
    if present and last and observed.log_e_promote >= threshold(alpha):
        return Verdict(
            Move.PROMOTE,
            f"not worse by {policy.margin:g} or more: ln e {observed.log_e_promote:.2f} "
            f">= {threshold(alpha):.2f} after {observed.scored} scored answers",
        )
    if observed.scored >= policy.max_scored:
        return Verdict(Move.GIVE_UP, f"futile: no decision in {observed.scored} scored answers")
    if present and not last and observed.stage_answered >= policy.stages[stage].requests:
        return Verdict(
            Move.ADVANCE,
            f"{observed.stage_answered} answers of both releases without harm, the candidate "
            f"at {policy.stages[stage].share:.0%}",
        )
    return STAY


def shadow_progress(observed: Observed | None, policy: Rollout) -> str:
    """How far a shadow is, in the counts that its verdict waits for."""
    failed, mirrored = (observed.candidate_failed, observed.mirrored) if observed else (0, 0)
    told = f"{mirrored} of {policy.shadow_requests} mirrored answers"
    return f"{told}, {failed} failed" if failed else told


def canary_progress(observed: Observed | None, policy: Rollout, stage: int, alpha: float) -> str:
    """How far a canary is. It ends before ``max_scored`` scored answers where they say enough."""
    present = policy.stages[stage]
    scored, bar = observed.scored if observed else 0, threshold(alpha)
    told = f"{scored} scored answers, {policy.max_scored} at most"
    if stage == len(policy.stages) - 1:
        log_e = observed.log_e_promote if observed else 0.0
        return f"{told}; ln e {log_e:.2f} of {bar:.2f} to promote"
    answered = observed.stage_answered if observed and _is_of(observed, policy, stage) else 0
    return f"{answered} of {present.requests} answers at {present.share:.0%}; {told}"


def _is_of(observed: Observed, policy: Rollout, stage: int) -> bool:
    """Whether it was seen at the share of ``stage``, not before."""
    return abs(observed.share - policy.stages[stage].share) <= SAME_SHARE


def _harm(observed: Observed, policy: Rollout) -> str:
    if observed.log_e_rollback >= threshold(policy.alpha):
        return (
            f"worse than the champion: ln e {observed.log_e_rollback:.2f} "
            f">= {threshold(policy.alpha):.2f} after {observed.scored} scored answers"
        )
    if observed.candidate_failed < LEAST_FAILURES:
        return ""
    requests = observed.candidate_answered + observed.candidate_failed
    champions = observed.champion_answered + observed.champion_failed
    # One failure more than seen: a champion without failures is not infinitely good.
    accepted = FAILURE_RATIO * (observed.champion_failed + 1) / (champions + 1)
    if observed.candidate_failed / requests <= accepted:
        return ""
    return (
        f"{observed.candidate_failed} of {requests} requests failed, "
        f"the champion's {observed.champion_failed} of {champions}"
    )


def figures(observed: Observed, policy: Rollout, alpha: float) -> tuple[Evidence, ...]:
    """The numbers behind a verdict, for the campaign's record."""
    requests = observed.candidate_answered + observed.candidate_failed
    champions = observed.champion_answered + observed.champion_failed
    counts = (
        Evidence("candidate_failed", observed.candidate_failed, n=requests),
        Evidence("champion_failed", observed.champion_failed, n=champions),
        Evidence("candidate_latency_s", observed.candidate_latency_s, n=requests),
        Evidence("champion_latency_s", observed.champion_latency_s, n=champions),
    )
    if observed.scored == 0:
        return counts
    n = observed.scored
    return (
        Evidence(
            "score_difference",
            observed.difference,
            observed.difference_lower,
            observed.difference_upper,
            n,
        ),
        Evidence("log_e_promote", observed.log_e_promote, n=n),
        Evidence("log_e_promote_threshold", threshold(alpha)),
        Evidence("log_e_rollback", observed.log_e_rollback, n=n),
        Evidence("log_e_rollback_threshold", threshold(policy.alpha)),
        *counts,
    )
