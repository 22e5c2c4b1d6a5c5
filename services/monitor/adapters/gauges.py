"""Service levels on the metrics page.

The label sets are bounded: the first 200 applications that declare something, their objectives
(16 at most), the three pairs of windows. Figures are the champion's, of the stored state, so
that a redelivered record counts once here too.
"""

from collections.abc import Sequence
from typing import Final

from prometheus_client import Gauge

from services.monitor.domain.application import Application
from services.monitor.domain.objective import Objective
from services.monitor.domain.release import Release
from services.monitor.domain.slo import RULES, Burn

APPLICATIONS: Final = 200
WINDOWS: Final = ("fast", "medium", "slow")
QUANTILES: Final = ("0.5", "0.95", "0.99")

BURN_RATE: Final = Gauge(
    "perennial_slo_burn_rate",
    "Error budget spent against the pace that spends it in its period",
    ["application", "objective", "rule", "window"],
)
BURN_THRESHOLD: Final = Gauge(
    "perennial_slo_burn_threshold",
    "Burn rate above which the rule burns",
    ["application", "objective", "rule"],
)
BREACHED: Final = Gauge(
    "perennial_slo_breached", "1 while told", ["application", "objective", "severity"]
)
BUDGET_LEFT: Final = Gauge(
    "perennial_slo_budget_left_ratio",
    "Share of the period's error budget, negative when overspent",
    ["application", "objective"],
)
LEVEL: Final = Gauge(
    "perennial_service_level_seconds",
    "Quantiles of the champion's last full minute",
    ["application", "measure", "quantile"],
)
ANSWERS: Final = Gauge(
    "perennial_service_level_answers",
    "The champion's answers in its last full minute",
    ["application", "outcome"],
)
TOKENS: Final = Gauge(
    "perennial_service_level_tokens_per_second",
    "Of an answer, mean over the champion's last full minute",
    ["application"],
)
COST: Final = Gauge(
    "perennial_service_level_cost_per_thousand",
    "Cost of 1,000 answers, in the application's currency",
    ["application"],
)
SKIPPED: Final = Gauge(
    "perennial_monitor_skipped_answers",
    "Answers that the detectors passed over because there were too many, ever",
    ["application"],
)


class Gauges:
    """`ports.Show`."""

    def __init__(self) -> None:
        self._shown: set[str] = set()

    def __call__(self, states: Sequence[Application], /) -> None:
        for state in states:
            if state.name in self._shown or len(self._shown) < APPLICATIONS:
                self._shown.add(state.name)
                _show(state)


def _show(state: Application) -> None:
    SKIPPED.labels(state.name).set(state.pace.skipped)
    release = state.releases.get(state.champion)
    if release is None:
        return
    _levels(state.name, release)
    for column, objective in enumerate(state.declared.objectives):
        burns = release.ledger.burns(column, objective, state.clock)
        _objective(state, release, objective, burns)
        left = release.ledger.budget_left(column, objective, state.clock)
        BUDGET_LEFT.labels(state.name, objective.key).set(left)


def _objective(
    state: Application, release: Release, objective: Objective, burns: Sequence[Burn]
) -> None:
    for rule, burn in zip(WINDOWS, burns, strict=True):
        BURN_RATE.labels(state.name, objective.key, rule, "long").set(burn.long_rate)
        BURN_RATE.labels(state.name, objective.key, rule, "short").set(burn.short_rate)
        BURN_THRESHOLD.labels(state.name, objective.key, rule).set(burn.threshold)
    standing = release.ledger.standings.get(objective.key)
    for severity in dict.fromkeys(rule.severity for rule in RULES):
        told = standing is not None and standing.severity == severity
        BREACHED.labels(state.name, objective.key, severity).set(told)


def _levels(name: str, release: Release) -> None:
    minutes = release.windows.minutes
    if not minutes:
        return
    minute = minutes[-2] if len(minutes) > 1 else minutes[-1]
    measures = {
        "first_token": minute.first_token_s,
        "per_token": minute.per_token_s,
        "latency": minute.latency_s,
    }
    for measure, values in measures.items():
        for quantile, value in zip(QUANTILES, values, strict=False):
            LEVEL.labels(name, measure, quantile).set(value)
    for outcome in ("answered", "failed", "refused", "blocked"):
        ANSWERS.labels(name, outcome).set(getattr(minute, outcome))
    TOKENS.labels(name).set(minute.tokens / minute.seconds if minute.seconds else 0.0)
    all_answers = minute.answered + minute.failed
    COST.labels(name).set(1000 * minute.cost / all_answers if all_answers else 0.0)
