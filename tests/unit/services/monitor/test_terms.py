"""What a release is watched for: as it was declared when its reference was fitted."""

from services.monitor.domain.application import Application
from services.monitor.domain.objective import Objective
from services.monitor.domain.outcome import Declared
from services.monitor.domain.policy import Policy
from services.monitor.domain.watch import Watch
from services.monitor.wire import incoming

from .traffic import Traffic, served

PLAIN = Policy(reference_events=90)
OTHER = Policy(90, 5_000.0, segment_labels=("route",), seasonal=True, conditional=True)


def served_to(state: Application, traffic: Traffic, count: int) -> Watch:
    for _ in range(count):
        answer = incoming.generation(served(traffic, labels={"route": "a"}), 0.0)
        state.serve(answer, 60.0)
    watch = state.releases["r1"].watch
    assert watch is not None
    return watch


def begun(policy: Policy, answers: int) -> tuple[Application, Traffic]:
    state, traffic = Application("support", declared=Declared(drift=policy)), Traffic(1)
    state.crown("r1", 1)
    served_to(state, traffic, answers)
    return state, traffic


def test_before_the_fit_a_watch_follows_the_declaration_and_mixes_nothing() -> None:
    state, traffic = begun(PLAIN, 20)

    state.declare(Declared(1, OTHER, objectives=(Objective("errors"),)))
    found = served_to(state, traffic, 10)

    assert found.progress == 10
    assert (found.average_run_length, found.conditional, found.timed) == (5_000.0, True, True)
    assert set(found.held.strata) == {"weekday night"}
    assert {label for row in found.held.labels for label in row} >= {"route=a"}


def test_a_longer_reference_keeps_what_there_is() -> None:
    state, traffic = begun(PLAIN, 20)

    state.declare(Declared(1, Policy(reference_events=300, conditional=True)))
    found = served_to(state, traffic, 10)

    assert (found.progress, found.wanted, found.conditional) == (30, 300, True)


def test_from_the_fit_on_a_watch_keeps_what_it_began_with() -> None:
    state, traffic = begun(PLAIN, 120)

    state.declare(Declared(1, OTHER, objectives=(Objective("errors"),)))
    found = served_to(state, traffic, 100)

    assert found.watching
    assert (found.strange, found.tables.own, found.tables.silent) == (0, [""], [])
    assert (found.average_run_length, found.conditional, found.timed) == (100_000.0, False, False)
    assert not any(label.startswith("route") for row in found.lately.labels for label in row)


def test_a_state_of_another_form_takes_its_reference_anew() -> None:
    state, traffic = begun(PLAIN, 120)
    watch = state.releases["r1"].watch
    assert watch is not None
    watch.form = 1

    found = served_to(state, traffic, 1)

    assert (found.watching, found.progress) == (False, 1)
