"""Service levels and drift on the metrics page.

The label sets are bounded: the first 200 applications that this process holds, their objectives
(16 at most), the three pairs of windows, the seven causes. Figures are the champion's, of the
stored state, so that a redelivered record counts once here too. What an application no longer
has - an objective, a champion with answers, this process as its monitor - is no longer shown, or
its alert would ring for ever.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, get_args

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from services.monitor.domain.application import Application
from services.monitor.domain.objective import Objective
from services.monitor.domain.release import Release
from services.monitor.domain.sample import Cause
from services.monitor.domain.slo import RULES, Burn

APPLICATIONS: Final = 200
WINDOWS: Final = ("fast", "medium", "slow")
QUANTILES: Final = ("0.5", "0.95", "0.99")


@dataclass(frozen=True, slots=True)
class Shown:
    """A metric; one whose name ends in "_total" is a counter."""

    name: str
    said: str
    labels: tuple[str, ...]


BURN_RATE: Final = Shown(
    "perennial_slo_burn_rate",
    "Error budget spent against the pace that spends it in its period",
    ("application", "objective", "rule", "window"),
)
BURN_THRESHOLD: Final = Shown(
    "perennial_slo_burn_threshold",
    "Burn rate above which the rule burns",
    ("application", "objective", "rule"),
)
BREACHED: Final = Shown(
    "perennial_slo_breached", "1 while told", ("application", "objective", "severity")
)
BUDGET_LEFT: Final = Shown(
    "perennial_slo_budget_left_ratio",
    "Share of the period's error budget, negative when overspent",
    ("application", "objective"),
)
LEVEL: Final = Shown(
    "perennial_service_level_seconds",
    "Quantiles of the champion's last full minute",
    ("application", "measure", "quantile"),
)
ANSWERS: Final = Shown(
    "perennial_service_level_answers",
    "The champion's answers in its last full minute",
    ("application", "outcome"),
)
TOKENS: Final = Shown(
    "perennial_service_level_tokens_per_second",
    "Of an answer, mean over the champion's last full minute",
    ("application",),
)
COST: Final = Shown(
    "perennial_service_level_cost_per_thousand",
    "Cost of 1,000 answers, in the application's currency",
    ("application",),
)
SKIPPED: Final = Shown(
    "perennial_monitor_skipped_answers_total",
    "Answers that the detectors passed over because there were too many",
    ("application",),
)
DRIFT: Final = Shown(
    "perennial_drift_alarmed",
    "1 while a signal of the champion with this cause stands alarmed",
    ("application", "cause"),
)
UNSHOWN: Final = Shown(
    "perennial_monitor_unshown_applications", "Applications beyond the first 200", ()
)
METRICS: Final = (
    *(BURN_RATE, BURN_THRESHOLD, BREACHED, BUDGET_LEFT, LEVEL, ANSWERS, TOKENS, COST),
    *(SKIPPED, DRIFT, UNSHOWN),
)

Row = tuple[Shown, tuple[str, ...], float]


class Gauges(Collector):
    """`ports.Show`, and what the registry asks at a scrape: the figures of the states held now."""

    def __init__(self) -> None:
        self._rows: dict[str, list[Row]] = {}
        self._unshown: set[str] = set()

    def __call__(self, states: Sequence[Application], /) -> None:
        for state in states:
            if state.name in self._rows or len(self._rows) < APPLICATIONS:
                self._rows[state.name] = list(_rows(state))
            else:
                self._unshown.add(state.name)

    def forget(self) -> None:
        """The applications may be another process's from now on."""
        self._rows, self._unshown = {}, set()

    def collect(self) -> Iterator[GaugeMetricFamily | CounterMetricFamily]:
        families = {metric: _family(metric) for metric in METRICS}
        for rows in list(self._rows.values()):
            for metric, labels, value in rows:
                families[metric].add_metric(labels, value)
        families[UNSHOWN].add_metric((), float(len(self._unshown)))
        yield from families.values()


def _family(metric: Shown) -> GaugeMetricFamily | CounterMetricFamily:
    kind = CounterMetricFamily if metric.name.endswith("_total") else GaugeMetricFamily
    return kind(metric.name, metric.said, labels=metric.labels)


def _rows(state: Application) -> Iterator[Row]:
    name = state.name
    yield SKIPPED, (name,), state.pace.skipped
    release = state.releases.get(state.champion)
    if release is None:
        return
    yield from _drift(name, release)
    yield from _levels(name, release)
    for column, objective in enumerate(state.declared.objectives):
        burns = release.ledger.burns(column, objective, state.clock)
        yield from _objective(name, release, objective, burns)
        left = release.ledger.budget_left(column, objective, state.clock)
        yield BUDGET_LEFT, (name, objective.key), left


def _drift(name: str, release: Release) -> Iterator[Row]:
    alarmed = {signal.cause for signal in release.signals if signal.alarmed}
    for cause in get_args(Cause):
        yield DRIFT, (name, cause), cause in alarmed


def _objective(
    name: str, release: Release, objective: Objective, burns: Sequence[Burn]
) -> Iterator[Row]:
    for rule, burn in zip(WINDOWS, burns, strict=True):
        yield BURN_RATE, (name, objective.key, rule, "long"), burn.long_rate
        yield BURN_RATE, (name, objective.key, rule, "short"), burn.short_rate
        yield BURN_THRESHOLD, (name, objective.key, rule), burn.threshold
    standing = release.ledger.standings.get(objective.key)
    for severity in dict.fromkeys(rule.severity for rule in RULES):
        told = standing is not None and standing.severity == severity
        yield BREACHED, (name, objective.key, severity), told


def _levels(name: str, release: Release) -> Iterator[Row]:
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
            yield LEVEL, (name, measure, quantile), value
    for outcome in ("answered", "failed", "refused", "blocked"):
        yield ANSWERS, (name, outcome), getattr(minute, outcome)
    yield TOKENS, (name,), minute.tokens / minute.seconds if minute.seconds else 0.0
    all_answers = minute.answered + minute.failed
    yield COST, (name,), 1000 * minute.cost / all_answers if all_answers else 0.0
