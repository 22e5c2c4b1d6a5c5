"""Burn rates: what is told, when, and what low traffic must not do."""

from dataclasses import replace

import pytest

from services.monitor.domain.generation import Generation
from services.monitor.domain.objective import MONTH_S, NAMES, Objective, bad
from services.monitor.domain.slo import Change, Ledger

from .test_windows import PLAIN

ERRORS = Objective("errors", target=0.99)
SLOW = Objective("latency", threshold=2.0, target=0.99)
FAILED = replace(PLAIN, outcome="failed")


def folded(
    ledger: Ledger, begin: float, minutes: int, per_minute: int, bad_share: float
) -> list[Change]:
    """So many minutes of traffic from ``begin`` on, judged every minute; returns the changes."""
    found: list[Change] = []
    for minute in range(minutes):
        for number in range(per_minute):
            fails = number < round(bad_share * per_minute)
            ledger.add([ERRORS], FAILED if fails else PLAIN, begin + minute * 60.0)
        found += ledger.judge("r1", [ERRORS], begin + minute * 60.0)
    return found


def test_a_fast_burn_pages_and_is_resolved_when_it_stops() -> None:
    ledger = Ledger()

    quiet = folded(ledger, 0.0, 60, 20, 0.0)
    burning = folded(ledger, 3600.0, 60, 20, 0.5)
    healed = folded(ledger, 7200.0, 60 * 7, 20, 0.0)

    assert quiet == []
    assert [change.severity for change in burning] == ["ticket", "page"]
    assert burning[0].since == burning[0].at == burning[1].since
    assert burning[1].budget_left < 0
    assert healed[-1].resolved
    assert healed[-1].since == burning[0].since


def test_a_fast_burn_is_told_after_two_percent_of_the_budget() -> None:
    ledger = Ledger()
    folded(ledger, 0.0, 360, 20, 0.0)

    [_, change] = folded(ledger, 21_600.0, 60, 20, 0.5)

    # Half of the answers fail, 50 times too many: 14.4 on average after 14.4 / 50 of an hour.
    assert change.at - 21_600.0 == pytest.approx(0.288 * 3600, abs=120)


def test_a_slow_burn_is_a_ticket() -> None:
    ledger = Ledger()

    changes = folded(ledger, 0.0, 60 * 80, 40, 0.025)

    assert [change.severity for change in changes] == ["ticket"]


def test_low_traffic_does_not_page() -> None:
    rare, unlucky = Ledger(), Ledger()

    total_failure_of_few = folded(rare, 0.0, 49, 1, 1.0)
    four_bad_of_two_hundred = folded(unlucky, 0.0, 1, 200, 0.02)

    assert total_failure_of_few == []
    assert four_bad_of_two_hundred == []


def test_a_breach_is_not_resolved_because_the_traffic_stops() -> None:
    ledger = Ledger()
    folded(ledger, 0.0, 60, 20, 0.5)

    assert ledger.judge("r1", [ERRORS], 3600.0 + 600.0) == []


def test_the_windows_are_in_proportion_to_the_period() -> None:
    daily = replace(ERRORS, period_s=MONTH_S / 30)

    windows = [(burn.long_s, burn.short_s) for burn in Ledger().burns(0, daily, 0.0)]

    assert windows == [(120.0, 60.0), (720.0, 60.0), (8640.0, 720.0)]


def test_total_failure_burns_even_where_the_target_is_low() -> None:
    low = Objective("errors", target=0.5)

    assert [burn.threshold for burn in Ledger().burns(0, low, 0.0)] == [1.8, 1.8, 1.0]


@pytest.mark.parametrize(
    ("objective", "answer", "expected"),
    [
        (ERRORS, PLAIN, False),
        (ERRORS, FAILED, True),
        (ERRORS, replace(FAILED, outcome="cancelled"), None),
        (ERRORS, replace(FAILED, role="shadow"), None),
        (SLOW, PLAIN, False),
        (SLOW, replace(PLAIN, latency_s=2.1), True),
        (SLOW, FAILED, None),
        (Objective("time_to_first_token", 0.05), PLAIN, True),
        (Objective("time_per_output_token", 0.15), PLAIN, False),
        (Objective("time_per_output_token", 0.14), PLAIN, True),
        (Objective("time_per_output_token", 0.14), replace(PLAIN, tokens=1), None),
        (Objective("tokens_per_s", 6.0), PLAIN, False),
        (Objective("tokens_per_s", 8.0), PLAIN, True),
        (Objective("refusals"), replace(PLAIN, refused=True), True),
        (Objective("blocks"), replace(FAILED, guard_verdict="block"), True),
        (Objective("cost", 0.01), replace(PLAIN, cost=0.02), True),
    ],
)
def test_an_answer_is_good_or_bad_or_not_what_the_objective_is_about(
    objective: Objective, answer: Generation, expected: bool | None
) -> None:
    assert bad(objective, answer) is expected


def test_another_objective_leaves_the_counts_of_the_others() -> None:
    ledger = Ledger()
    ledger.add([ERRORS], FAILED, 60.0)

    ledger.add([SLOW, ERRORS], PLAIN, 60.0)

    assert ledger.period(0, SLOW, 60.0) == (1, 0)
    assert ledger.period(1, ERRORS, 60.0) == (2, 1)


def test_old_minutes_are_forgotten_and_late_answers_of_forgotten_ones_left_out() -> None:
    ledger = Ledger()
    ledger.add([ERRORS], FAILED, 0.0)
    ledger.add([ERRORS], PLAIN, 32 * 86_400.0)

    ledger.add([ERRORS], FAILED, 86_400.0)

    assert ledger.period(0, ERRORS, 32 * 86_400.0) == (1, 0)


@pytest.mark.parametrize(
    ("objective", "asked"),
    [
        (Objective("latency", 2.0, 0.999), "99.9 % of the answers take 2 s at most"),
        (Objective("time_to_first_token", 0.25), "99 % of the answers begin within 250 ms"),
        (Objective("cost", 0.01), "99 % of the answers cost 0.01 EUR at most"),
        (Objective("blocks"), "99 % of the answers are not blocked by a guard"),
    ],
)
def test_an_objective_is_told_in_words_and_units(objective: Objective, asked: str) -> None:
    assert objective.asked("EUR") == asked


def test_every_objective_can_be_told() -> None:
    assert all(Objective(name, 1.0).asked("EUR") for name in NAMES)
