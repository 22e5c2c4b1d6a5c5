"""One application, folded answer by answer: alarms, causes, service levels and decisions."""

from dataclasses import replace
from typing import TypeVar

from services.monitor.domain.application import Application
from services.monitor.domain.cause import PLAIN_EVENTS, WAIT_S, Probed
from services.monitor.domain.generation import Feedback
from services.monitor.domain.objective import Objective
from services.monitor.domain.outcome import Attributed, Declared, Outcome, ProbeWanted, Rang
from services.monitor.domain.policy import Policy
from services.monitor.domain.slo import Change
from services.monitor.domain.verdict import Made, Trigger
from services.monitor.wire import incoming, shown

from .test_decision import correction
from .traffic import Traffic, served

T = TypeVar("T")
DRIFT = Policy(reference_events=90, average_run_length=10_000, new_rows=3)


def application(**declared: object) -> Application:
    state = Application("support", declared=Declared(drift=DRIFT, **declared))  # type: ignore[arg-type]
    state.crown("r1", 1)
    return state


def fold(
    state: Application, traffic: Traffic, count: int, now: float = 0.0, **changes: object
) -> list[Outcome]:
    """So many answers, one a second; ``logprob_shift`` moves what the model thinks of them."""
    shift = float(changes.pop("logprob_shift", 0.0))  # type: ignore[arg-type]
    far = bool(changes.pop("far", False))
    found: list[Outcome] = []
    for number in range(count):
        answer = incoming.generation(served(traffic, far, **changes), now + number)
        answer = replace(answer, logprob=answer.logprob + shift)
        found += state.serve(answer, now + number)
    return found


def those(kind: type[T], outcomes: list[Outcome]) -> list[T]:
    return [each for each in outcomes if isinstance(each, kind)]


def changed_provider() -> tuple[Application, list[Outcome]]:
    """An external provider that answers the same prompts otherwise from the 201st on."""
    state, traffic = application(), Traffic(3)
    fold(state, traffic, 200, provider="openai")
    return state, fold(state, traffic, 150, 200.0, provider="openai", logprob_shift=-0.5)


def test_other_answers_of_a_provider_ring_and_ask_for_probes_at_once() -> None:
    _, outcomes = changed_provider()

    [rang], [wanted] = those(Rang, outcomes), those(ProbeWanted, outcomes)
    assert (rang.alarm.signal, rang.alarm.cause) == ("mean_logprob", "behaviour")
    assert rang.opinion.confidence == 0.6
    assert (wanted.event_id, wanted.probes) == (rang.event_id, 40)
    assert those(Attributed, outcomes) == []


def test_probes_that_differ_end_the_case_with_the_provider() -> None:
    state, outcomes = changed_provider()
    [wanted] = those(ProbeWanted, outcomes)

    found = state.probe(Probed(wanted.event_id, 40, 0.001, True, "m", "m-2"), 400.0)
    again = state.probe(Probed(wanted.event_id, 40, 0.001, True, "m", "m-2"), 401.0)

    [told], [made] = those(Attributed, found), those(Made, found)
    assert (told.found.cause, told.signals) == ("provider", ("mean_logprob",))
    assert (made.verdict, made.cause) == ("notify_only", "provider")
    assert state.inquiry.alarms[-1].attributed == told
    assert again == []


def test_a_case_without_an_answer_to_its_probes_is_closed_in_time() -> None:
    state, _ = changed_provider()

    found = fold(state, Traffic(4, made=1000), 1, 400.0 + WAIT_S, provider="openai")

    [told] = those(Attributed, found)
    assert (told.found.cause, told.found.confidence) == ("behaviour", 0.6)


def test_the_open_case_of_a_former_champion_is_told_as_far_as_it_is_known() -> None:
    state, _ = changed_provider()

    found = state.crown("r2", 2)

    [told] = those(Attributed, found)
    assert (told.found.cause, told.found.confidence, told.at) == ("behaviour", 0.6, 349.0)
    assert state.inquiry.alarms[-1].attributed == told
    assert state.crown("r3", 3) == []


def test_drifted_inputs_ring_wait_for_corrections_and_begin_one_campaign() -> None:
    state, traffic = application(), Traffic(3)
    fold(state, traffic, 200)
    outcomes = fold(state, traffic, 60, 200.0, far=True)

    for number in range(4):
        outcomes += state.rate(correction(number, served_at=250.0), 260.0)
    assert those(Trigger, outcomes) == []
    outcomes += fold(state, traffic, 1100, 300.0, far=True)

    [rang], [trigger] = those(Rang, outcomes), those(Trigger, outcomes)
    [told] = those(Attributed, outcomes)
    assert [made.verdict for made in those(Made, outcomes)] == ["retrain"]
    assert (trigger.new_rows, told.events) == (4, PLAIN_EVENTS)
    assert trigger.drift_event_id == rang.event_id == told.event_id
    assert told.found.cause == "input"


def test_an_attack_trains_nothing() -> None:
    state, traffic = application(), Traffic(3)
    fold(state, traffic, 200, guard_verdict="allow")
    outcomes: list[Outcome] = []
    for number in range(4):
        outcomes += state.rate(correction(number, served_at=190.0), 200.0)

    for number in range(600):
        far = number % 5 < 3
        verdict = "block" if far else "allow"
        outcomes += fold(state, traffic, 1, 200.0 + number, far=far, guard_verdict=verdict)
    outcomes += state.rate(correction(9, served_at=800.0), 900.0 + WAIT_S)

    [told], [made] = those(Attributed, outcomes), those(Made, outcomes)
    assert told.found.cause == "guard"
    assert set(told.signals) == {"prompt_embedding", "guard_verdict"}
    assert (made.verdict, made.cause) == ("notify_only", "guard")
    assert those(Trigger, outcomes) == []


def test_a_guard_that_is_slower_than_the_embedding_is_waited_for() -> None:
    state, traffic = application(), Traffic(3)
    fold(state, traffic, 200, guard_verdict="allow")
    outcomes: list[Outcome] = []

    for number in range(1200):
        verdict = "block" if number % 7 == 6 else "allow"
        outcomes += fold(state, traffic, 1, 200.0 + number, far=True, guard_verdict=verdict)
        outcomes += state.rate(correction(number, served_at=200.0 + number), 200.0 + number)

    rang = [each.alarm.signal for each in those(Rang, outcomes)]
    assert rang == ["prompt_embedding", "guard_verdict"]
    assert those(Trigger, outcomes) == []


def test_a_release_that_is_champion_again_begins_a_campaign_of_its_own() -> None:
    state, found = application(), []
    for turn, now in enumerate((0.0, 5000.0)):
        traffic = Traffic(3, made=5000 * turn)
        state.crown(f"r0-{turn}", 2 * turn + 2)
        state.crown("r1", 2 * turn + 3)
        fold(state, traffic, 200, now)
        outcomes = fold(state, traffic, 200, now + 200, far=True)
        for number in range(3):
            outcomes += state.rate(correction(10 * turn + number, served_at=now + 300), now + 400)
        found += [*those(Rang, outcomes), *those(Trigger, outcomes)]

    [first, one, second, two] = found
    assert isinstance(first, Rang)
    assert isinstance(second, Rang)
    assert isinstance(one, Trigger)
    assert isinstance(two, Trigger)
    assert first.alarm.at_event == second.alarm.at_event
    assert one.campaign_id != two.campaign_id


def test_mirrored_answers_are_in_no_minute() -> None:
    state, traffic = application(), Traffic(3)

    fold(state, traffic, 3, release_digest="r2", shadow_of="g")
    fold(state, traffic, 2)

    answered = {
        digest: sum(minute.answered for minute in release.windows.minutes)
        for digest, release in state.releases.items()
    }
    assert answered == {"r2": 0, "r1": 2}


def test_the_alarm_does_not_wait_for_its_cause() -> None:
    state, traffic = application(), Traffic(3)
    fold(state, traffic, 200)

    outcomes = fold(state, traffic, 60, 200.0, far=True)

    assert those(Rang, outcomes) != []
    assert those(Attributed, outcomes) == []


def test_a_service_level_that_is_missed_is_told_once() -> None:
    state = application(objectives=(Objective("latency", 1.0), Objective("errors")))

    outcomes = fold(state, Traffic(3), 600, latency_s=2.0)

    changes = those(Change, outcomes)
    assert [(each.objective.name, each.severity) for each in changes] == [("latency", "page")]
    standings = {each.name: each for each in shown.objectives(state)}
    assert standings["latency"].severity == "page"
    assert standings["latency"].bad == 600
    assert standings["errors"].budget_left == 1.0


def test_corrected_answers_tell_what_the_champion_lost() -> None:
    state, traffic = application(), Traffic(3)
    fold(state, traffic, 100)
    first = traffic.made
    fold(state, traffic, 40, 100.0, logprob_shift=-0.5)

    for number in range(80):
        served_at = 60.0 + number
        state.rate(blamed(first - 40 + number + 1, served_at), 200.0)

    gain = state.decision.standard.loss_gain(100.0)
    assert gain is not None
    assert gain.n == 40
    assert 0.3 < gain.lower < 0.5 < gain.upper < 0.7


def blamed(generation: int, served_at: float) -> Feedback:
    """A correction of an answer that was served."""
    return correction(
        generation,
        generation_id=f"generation-{generation}",
        release="r1",
        served_at=served_at,
    )


def test_a_crowd_is_counted_whole_and_looked_at_in_part() -> None:
    state, traffic = application(objectives=(Objective("errors"),)), Traffic(3)
    state.most_per_s = 50

    crowded = [incoming.generation(served(traffic), 0.0) for _ in range(1200)]
    for number, answer in enumerate(crowded):
        state.serve(answer, float(number // 400))

    [signal, *_] = shown.signals(state, history=False, least=0.0)
    [standing] = shown.objectives(state)
    assert standing.answers == 1200
    assert signal.skipped > 500
    assert signal.stride == 8


def test_the_plane_shows_the_reference_and_what_came_since() -> None:
    state, traffic = application(), Traffic(3)
    fold(state, traffic, 200)
    fold(state, traffic, 50, 200.0, far=True)

    found = shown.scatter("r1", state.releases["r1"])
    nothing = shown.scatter("r2", None)

    assert (len(found.reference), len(found.recent)) == (30, 220)
    assert (len(nothing.reference), len(nothing.recent)) == (0, 0)


def test_there_is_no_objective_without_a_declaration() -> None:
    state = application()

    outcomes = fold(state, Traffic(3), 300, latency_s=60.0, finish_reason="error")

    assert those(Change, outcomes) == []
    assert list(shown.objectives(state)) == []
