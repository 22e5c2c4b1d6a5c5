"""The metrics page shows what is held now, and nothing that is over."""

from prometheus_client import CollectorRegistry, generate_latest

from services.monitor.adapters import gauges
from services.monitor.adapters.gauges import Gauges
from services.monitor.domain.application import Application
from services.monitor.domain.objective import Objective
from services.monitor.domain.outcome import Declared
from services.monitor.domain.policy import Policy
from services.monitor.wire import incoming

from .traffic import Traffic, served

BURNING = 'perennial_slo_breached{application="support",objective="errors",severity="page"} 1.0'
DRIFTING = 'perennial_drift_alarmed{application="support",cause="input"} 1.0'


def drifted(name: str = "support") -> Application:
    """Its answers fail, and its prompts turn to other topics."""
    declared = Declared(1, Policy(90, 10_000.0), objectives=(Objective("errors"),))
    state, traffic = Application(name, declared=declared), Traffic(1)
    state.crown("r1", 1)
    for number in range(260):
        reason = "error" if number % 4 == 0 else "stop"
        event = served(traffic, far=number > 160, application=name, finish_reason=reason)
        state.serve(incoming.generation(event, 60.0 + number), 60.0 + number)
    return state


def page(shown: Gauges) -> str:
    registry = CollectorRegistry()
    registry.register(shown)
    return generate_latest(registry).decode()


def test_a_burn_and_a_drift_are_shown_while_they_stand() -> None:
    state, shown = drifted(), Gauges()

    shown([state])

    assert BURNING in page(shown)
    assert DRIFTING in page(shown)
    assert 'perennial_drift_alarmed{application="support",cause="guard"} 0.0' in page(shown)
    assert 'perennial_monitor_skipped_answers_total{application="support"} 0.0' in page(shown)


def test_an_objective_that_was_dropped_is_gone() -> None:
    state, shown = drifted(), Gauges()
    shown([state])

    state.declare(Declared(2, Policy(90, 10_000.0)))
    shown([state])

    assert "perennial_slo_breached{" not in page(shown)
    assert DRIFTING in page(shown)


def test_a_new_champion_without_answers_shows_nothing_of_the_former_one() -> None:
    state, shown = drifted(), Gauges()
    shown([state])

    state.crown("r2", 2)
    shown([state])

    assert "perennial_slo_breached{" not in page(shown)
    assert "perennial_drift_alarmed{" not in page(shown)


def test_partitions_that_were_taken_away_take_their_applications_along() -> None:
    shown = Gauges()
    shown([drifted()])

    shown.forget()

    assert "support" not in page(shown)


def test_applications_beyond_the_bound_are_counted() -> None:
    shown = Gauges()

    shown([Application(f"a{number}") for number in range(gauges.APPLICATIONS + 3)])

    assert "perennial_monitor_unshown_applications 3.0" in page(shown)
    assert page(shown).count("perennial_monitor_skipped_answers_total{") == gauges.APPLICATIONS
