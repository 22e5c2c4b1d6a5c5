"""Service levels: how fast each objective's error budget is spent, and when that is told.

Multi-window, multi-burn-rate alerts as in the Site Reliability Workbook (Google, chapter 5).
Burn rate is ``(bad / all) / (1 - target)`` over a window: 1 spends the budget exactly in its
period. A rule burns while its long window (is it serious) and its short one (does it last) are
both above its rate. For a period of 30 days: 14.4 over 1 h and 5 min, 6 over 6 h and 30 min, 1
over 3 d and 6 h, which is 2 %, 5 % and 10 % of the budget; the windows of another period are in
proportion, a minute at least. A target so low that total failure would stay below a rule's rate
lowers that rate to nine tenths of what total failure burns.

Few answers say little: to begin, a rule needs 50 answers in its long window, 5 of them bad, and
10 in its short one; one that burns goes on while the short window is too empty to tell.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from services.monitor.domain.generation import Generation
from services.monitor.domain.objective import MONTH_S, Objective, bad

Severity = Literal["page", "ticket", ""]

MINUTE_S: Final = 60
HOUR_S: Final = 3600
MINUTES: Final = 360
HOURS: Final = 24 * 31
LEAST_LONG: Final = 50
LEAST_SHORT: Final = 10
LEAST_BAD: Final = 5


@dataclass(frozen=True, slots=True)
class Rule:
    """A pair of windows of a 30-day period, in seconds."""

    severity: Severity
    rate: float
    long_s: float
    short_s: float


RULES: Final = (
    Rule("page", 14.4, 3600.0, 300.0),
    Rule("page", 6.0, 21_600.0, 1800.0),
    Rule("ticket", 1.0, 259_200.0, 21_600.0),
)


@dataclass(frozen=True, slots=True)
class Burn:
    """One rule at one time: its rate and windows as they are for the objective's period."""

    severity: Severity
    threshold: float
    long_s: float
    short_s: float
    long_rate: float
    short_rate: float
    burning: bool


@dataclass(frozen=True, slots=True)
class Change:
    """An objective's severity changed at ``at``; ``severity`` is the former one if resolved."""

    release: str
    objective: Objective
    severity: Severity
    resolved: bool
    burns: tuple[Burn, ...]
    budget_left: float
    since: float
    at: float


@dataclass(slots=True)
class Standing:
    """What was last told of an objective; ``since`` the breach began, seconds since 1970."""

    severity: str = ""
    since: float = 0.0


@dataclass(slots=True)
class Counts:
    """A ring of equal spans of time.

    Fields:
        spans: ``(slots,)`` number of the span in each slot, time // width.
        totals, bads: ``(slots, objectives)``.
    """

    width_s: int
    spans: NDArray[np.int64]
    totals: NDArray[np.int32]
    bads: NDArray[np.int32]

    def add(self, at: float, found: Sequence[bool | None], count: int) -> None:
        """So many answers: by objective whether they are bad, None where they do not count. Those
        of a span that was overwritten are left out."""
        span = int(at // self.width_s)
        slot = span % len(self.spans)
        known = self.spans.item(slot)
        if known != span:
            if known > span:
                return
            self.spans[slot] = span
            self.totals[slot] = self.bads[slot] = 0
        for column, missed in enumerate(found):
            if missed is not None:
                self.totals[slot, column] += count
                if missed:
                    self.bads[slot, column] += count

    def sums(self, column: int, now: float, window_s: float) -> tuple[int, int]:
        """All and bad answers of the window that ends with the span of ``now``."""
        last = int(now // self.width_s)
        wanted = -int(-window_s // self.width_s)
        inside = (self.spans > last - wanted) & (self.spans <= last)
        return int(self.totals[inside, column].sum()), int(self.bads[inside, column].sum())


def counts(width_s: int, slots: int, objectives: int) -> Counts:
    shape = (slots, objectives)
    spans = np.full(slots, -1, np.int64)
    return Counts(width_s, spans, np.zeros(shape, np.int32), np.zeros(shape, np.int32))


@dataclass(slots=True)
class Ledger:
    """One release's answers against the objectives: minutes of 6 hours, hours of 31 days.

    Fields:
        keys: of the objectives, in the order of the columns.
        standings: by key; aligned: the objectives that were aligned last.
        waiting: answers that are not in the rings yet, by their minute and what was found.
    """

    keys: list[str] = field(default_factory=list)
    minutes: Counts = field(default_factory=lambda: counts(MINUTE_S, 0, 0))
    hours: Counts = field(default_factory=lambda: counts(HOUR_S, 0, 0))
    standings: dict[str, Standing] = field(default_factory=dict)
    aligned: Sequence[Objective] | None = field(init=False, default=None, repr=False, compare=False)
    waiting: dict[tuple[int, tuple[bool | None, ...]], int] = field(
        init=False, default_factory=dict, repr=False, compare=False
    )

    def add(self, objectives: Sequence[Objective], answer: Generation, at: float) -> None:
        """Count one answer, given at ``at`` seconds since 1970."""
        if objectives is not self.aligned:
            self._align(objectives)
        key = int(at // MINUTE_S), tuple([bad(objective, answer) for objective in objectives])
        self.waiting[key] = self.waiting.get(key, 0) + 1

    def settle(self) -> None:
        """Bring the rings up to date; the order in which answers came makes no difference."""
        for (minute, found), count in sorted(self.waiting.items(), key=lambda item: item[0][0]):
            self.minutes.add(minute * MINUTE_S, found, count)
            self.hours.add(minute * MINUTE_S, found, count)
        self.waiting.clear()

    def judge(self, release: str, objectives: Sequence[Objective], now: float) -> list[Change]:
        """The objectives whose severity is another one since the last time."""
        self._align(objectives)
        self.settle()
        found: list[Change] = []
        for column, objective in enumerate(objectives):
            standing = self.standings.setdefault(objective.key, Standing())
            if not standing.severity and self._quiet(column):
                continue
            burns = self.burns(column, objective, now)
            severity = max((burn.severity for burn in burns if burn.burning), key=_rank, default="")
            if severity == standing.severity:
                continue
            since = standing.since if standing.severity else now
            told = severity or standing.severity
            left = self.budget_left(column, objective, now)
            change = Change(release, objective, _known(told), not severity, burns, left, since, now)
            found.append(change)
            self.standings[objective.key] = Standing(severity, since if severity else 0.0)
        return found

    def _quiet(self, column: int) -> bool:
        """Whether there are too few bad answers, whatever the window, for a rule to burn."""
        rings = (self.minutes, self.hours)
        return all(int(ring.bads[:, column].sum()) < LEAST_BAD for ring in rings)

    def burns(self, column: int, objective: Objective, now: float) -> tuple[Burn, ...]:
        self.settle()
        standing = self.standings.get(objective.key, Standing()).severity
        return tuple(self._burn(rule, column, objective, now, standing) for rule in RULES)

    def budget_left(self, column: int, objective: Objective, now: float) -> float:
        """Share of the error budget of the period's answers so far; 1 before the first one."""
        return 1.0 - _rate(*self.period(column, objective, now), objective)

    def period(self, column: int, objective: Objective, now: float) -> tuple[int, int]:
        """All and bad answers of the objective's period, 31 days at most."""
        self.settle()
        return self._window(column, now, objective.period_s)

    def _burn(
        self, rule: Rule, column: int, objective: Objective, now: float, standing: str
    ) -> Burn:
        scale = objective.period_s / MONTH_S
        long_s = max(rule.long_s * scale, float(MINUTE_S))
        short_s = max(rule.short_s * scale, float(MINUTE_S))
        threshold = min(rule.rate, 0.9 / (1.0 - objective.target))
        total, missed = self._window(column, now, long_s)
        few, few_missed = self._window(column, now, short_s)
        rates = _rate(total, missed, objective), _rate(few, few_missed, objective)
        holds = rates[1] > threshold if few >= LEAST_SHORT else standing == rule.severity
        enough = total >= LEAST_LONG and missed >= LEAST_BAD
        burning = enough and rates[0] > threshold and holds
        return Burn(rule.severity, threshold, long_s, short_s, *rates, burning)

    def _window(self, column: int, now: float, window_s: float) -> tuple[int, int]:
        if column >= len(self.keys):
            return 0, 0
        fine = window_s <= MINUTES * MINUTE_S
        return (self.minutes if fine else self.hours).sums(column, now, window_s)

    def _align(self, objectives: Sequence[Objective]) -> None:
        """Columns for these objectives; those that were there before keep their counts."""
        self.aligned = objectives
        keys = [objective.key for objective in objectives]
        if keys == self.keys:
            return
        self.settle()
        kept = [(keys.index(key), old) for old, key in enumerate(self.keys) if key in keys]
        for name, slots in (("minutes", MINUTES), ("hours", HOURS)):
            former: Counts = getattr(self, name)
            fresh = counts(former.width_s, slots if keys else 0, len(keys))
            if kept and len(former.spans) == slots:
                fresh.spans = former.spans
                for new, old in kept:
                    fresh.totals[:, new] = former.totals[:, old]
                    fresh.bads[:, new] = former.bads[:, old]
            setattr(self, name, fresh)
        self.keys = keys
        self.standings = {key: kept for key, kept in self.standings.items() if key in keys}


def _rate(total: int, missed: int, objective: Objective) -> float:
    return missed / total / (1.0 - objective.target) if total else 0.0


def _rank(severity: str) -> int:
    return ("", "ticket", "page").index(severity)


def _known(severity: str) -> Severity:
    return "page" if severity == "page" else "ticket" if severity == "ticket" else ""
