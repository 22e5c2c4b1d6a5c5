"""Which cause the signals come to together."""

from dataclasses import replace

import pytest

from services.monitor.domain.cause import (
    PLAIN_EVENTS,
    WAIT_EVENTS,
    WAIT_S,
    Case,
    Probed,
    first_opinion,
)

from .test_decision import ALARM

CHANGED = Probed("d1", 40, 0.001, True, "gpt-4o", "gpt-4o-2026")


def case(*signals: tuple[str, str], provider: str = "") -> Case:
    """A case of alarms of these signals and causes."""
    found = Case("d1", "r1", 0.0, provider)
    for number, (signal, cause) in enumerate(signals):
        found.ring(replace(ALARM, signal=signal, cause=cause), f"d{number + 1}")
    return found


def quiet() -> bool:
    """No other signal is on its way."""
    return False


INPUT = ("prompt_embedding", "input")
LANGUAGE = ("language", "input")
BEHAVIOUR = ("mean_logprob", "behaviour")
GUARD = ("guard_verdict", "guard")
RETRIEVAL = ("retrieval_score", "retrieval")
SYSTEM = ("latency", "system")
DATA = ("duplicates", "data")
MODEL = ("served_model", "provider")


@pytest.mark.parametrize(
    ("fired", "cause"),
    [
        ([INPUT], "input"),
        ([LANGUAGE, INPUT], "input"),
        ([BEHAVIOUR], "behaviour"),
        ([BEHAVIOUR, INPUT], "input"),
        ([INPUT, BEHAVIOUR, GUARD], "guard"),
        ([BEHAVIOUR, RETRIEVAL], "retrieval"),
        ([SYSTEM], "system"),
        ([BEHAVIOUR, SYSTEM], "behaviour"),
        ([INPUT, DATA], "data"),
        ([BEHAVIOUR, MODEL], "provider"),
        ([GUARD, MODEL], "provider"),
    ],
)
def test_the_first_row_that_matches_is_the_cause(fired: list[tuple[str, str]], cause: str) -> None:
    assert case(*fired).attribute().cause == cause


def test_probes_that_differ_name_the_provider_at_once() -> None:
    open_case = case(BEHAVIOUR, provider="openai")
    assert open_case.wants_probe()

    open_case.take(CHANGED)

    assert open_case.due(1.0, quiet)
    assert open_case.attribute().cause == "provider"
    assert "40 probes by gpt-4o-2026 differ" in open_case.attribute().evidence[-1]


def test_probes_that_agree_leave_the_own_settings_with_more_confidence() -> None:
    unprobed, probed = case(BEHAVIOUR, provider="openai"), case(BEHAVIOUR, provider="openai")

    probed.take(replace(CHANGED, changed=False, p_value=0.6))

    assert not probed.due(1.0, quiet)
    assert probed.attribute().cause == unprobed.attribute().cause == "behaviour"
    assert probed.attribute().confidence > unprobed.attribute().confidence


def test_no_probes_are_wanted_of_an_engine_of_our_own_or_of_other_inputs() -> None:
    assert not case(BEHAVIOUR).wants_probe()
    assert not case(INPUT, provider="openai").wants_probe()


def test_a_case_waits_for_some_answers_or_some_time() -> None:
    waiting, late, full = case(INPUT), case(INPUT), case(INPUT)

    full.waited = WAIT_EVENTS

    assert not waiting.due(WAIT_S - 1, quiet)
    assert late.due(WAIT_S, quiet)
    assert full.due(0.0, quiet)


def test_other_inputs_are_plain_when_nothing_else_has_rung_for_some_answers() -> None:
    plain, attacked, later = case(INPUT, LANGUAGE), case(INPUT, GUARD), case(INPUT)
    for each in (plain, attacked, later):
        each.waited = PLAIN_EVENTS - 1
    assert not plain.due(0.0, quiet)
    later.ring(replace(ALARM, signal="length"), "d2")

    for each in (plain, attacked, later):
        each.waited = PLAIN_EVENTS

    assert plain.due(0.0, quiet)
    assert not plain.due(0.0, lambda: True)
    assert not attacked.due(0.0, quiet)
    assert not later.due(0.0, quiet)


def test_what_probes_were_asked_for_is_not_plain_before_they_answer() -> None:
    asked = case(BEHAVIOUR, INPUT, provider="openai")
    asked.asked, asked.waited = True, PLAIN_EVENTS

    waits = asked.due(0.0, quiet)
    asked.take(replace(CHANGED, changed=False, p_value=0.6))

    assert not waits
    assert asked.due(0.0, quiet)


def test_the_evidence_says_what_moved_and_when_it_was_heard() -> None:
    slower = "Answers got slower: 31 % instead of 12 % of the answers took 760 ms or more"
    rated = replace(ALARM, signal="feedback", change="Users rate lower")

    assert first_opinion(replace(ALARM, change=slower), "").evidence == (
        f"{slower}. Heard 310 answers after the reference was complete.",
    )
    assert first_opinion(rated, "").evidence == (
        "Users rate lower. Heard 310 ratings after the reference was complete.",
    )
