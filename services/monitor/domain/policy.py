"""What an application's drift policy allows, and what stands in the way."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from services.monitor.domain.benefit import LEAST, Runs, Standard

DAY_S = 86_400.0
HOUR_S = 3600.0


@dataclass(frozen=True, slots=True)
class Policy:
    """The application's drift policy.

    Fields:
        new_rows: distinct corrected answers wanted before retraining.
        cooldown_s: between two triggers.
        daily: triggers in any 24 hours.
        segment_labels: by whose values the traffic is watched apart.
        approval: a person starts the campaign.
        quiet_from, quiet_to: hours, UTC, between which nothing is triggered; equal = never quiet.
        cost_per_hour, cost_budget: of training, in the application's currency; the budget is of
            30 days, 0 = no bound.
        first_run_s: that a run is taken to last before one is done.
        least_gain: nats per token that poor answers must have lost; 0 = not asked.
        seasonal: the traffic is compared within its kind of hour.
        conditional: the run length holds for the very reference.
    """

    reference_events: int = 500
    average_run_length: float = 100_000.0
    new_rows: int = 200
    cooldown_s: float = 0.0
    daily: int = 10
    segment_labels: tuple[str, ...] = ()
    approval: bool = False
    quiet_from: int = 0
    quiet_to: int = 0
    cost_per_hour: float = 0.0
    cost_budget: float = 0.0
    first_run_s: float = HOUR_S
    least_gain: float = 0.0
    seasonal: bool = False
    conditional: bool = False

    def quiet(self, now: float) -> bool:
        hour = datetime.fromtimestamp(now, UTC).hour
        if self.quiet_from <= self.quiet_to:
            return self.quiet_from <= hour < self.quiet_to
        return hour >= self.quiet_from or hour < self.quiet_to


@dataclass(frozen=True, slots=True)
class Obstacle:
    """One thing that stands in the way; ``kind`` stays the same while it does."""

    kind: str
    sentence: str


def missing(policy: Policy, standard: Standard, since: float, rows: int) -> list[Obstacle]:
    """What people must label before anything can begin; empty = nothing.

    Args:
        since: when the drift began, seconds since 1970; ``rows``: new ones.
    """
    found: list[Obstacle] = []
    if rows < policy.new_rows:
        sentence = f"{rows} new corrections of {policy.new_rows} wanted."
        found.append(Obstacle("rows", sentence))
    if policy.least_gain and standard.loss_gain(since) is None:
        now, before = standard.judged(since)
        sentence = "What the champion lost is not known: of poor answers with log-probabilities"
        sentence += f" there are {now.n} since the drift began and {before.n} before it;"
        found.append(Obstacle("unknown", f"{sentence} {LEAST} of each are wanted."))
    return found


def obstacles(
    policy: Policy, standard: Standard, since: float, triggered_at: Sequence[float], now: float
) -> list[Obstacle]:
    """Why a campaign must not begin at ``now`` although it has its rows; empty = it may."""
    found: list[Obstacle] = []
    gain = standard.loss_gain(since) if policy.least_gain else None
    if gain is not None and gain.upper < policy.least_gain:
        sentence = f"The champion lost at most {gain.upper:.3f} nats per token on {gain.n} poor"
        sentence += f" answers; {policy.least_gain:g} are asked for."
        found.append(Obstacle("gain", sentence))
    if triggered_at and now < triggered_at[-1] + policy.cooldown_s:
        found.append(
            Obstacle("cooldown", f"The last campaign began less than {policy.cooldown_s:g} s ago.")
        )
    today = sum(at > now - DAY_S for at in triggered_at)
    if today >= policy.daily:
        found.append(Obstacle("daily", f"{today} campaigns began in 24 hours, as many as may."))
    if policy.quiet(now):
        hours = f"{policy.quiet_from}:00 to {policy.quiet_to}:00 UTC"
        found.append(Obstacle("quiet", f"Nothing begins in the quiet hours, {hours}."))
    return found


def too_dear(policy: Policy, runs: Runs, rows: int, now: float) -> Obstacle | None:
    """The cost budget of 30 days would be overspent by a run on ``rows`` new rows."""
    if not policy.cost_budget or not policy.cost_per_hour:
        return None
    spent = price(policy, runs.spent_s(now))
    expected = price(policy, runs.expected_s(rows, policy.first_run_s))
    if spent + expected <= policy.cost_budget and spent < policy.cost_budget:
        return None
    sentence = f"{spent:.2f} were spent on training in 30 days and the run would cost"
    return Obstacle("cost", f"{sentence} {expected:.2f}; the budget is {policy.cost_budget:.2f}.")


def price(policy: Policy, seconds: float) -> float:
    """Of training, in the application's currency."""
    return seconds / HOUR_S * policy.cost_per_hour
