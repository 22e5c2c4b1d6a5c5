"""When an alarm becomes a campaign."""

from dataclasses import replace

import pytest

from services.monitor.domain.cause import Attribution, Case
from services.monitor.domain.decision import Decision, Policy, drift_event_id
from services.monitor.domain.generation import Feedback
from services.monitor.domain.sample import Alarm
from services.monitor.domain.verdict import Made, Trigger

POLICY = Policy(new_rows=3, cooldown_s=100.0, daily=2)
ALARM = Alarm(
    release="r1",
    signal="prompt_embedding",
    cause="input",
    statistic=12.0,
    threshold=10.0,
    average_run_length=100_000,
    at_event=310,
    reference_events=500,
    cells=(),
    examples=(),
    generation_id="g",
)


def correction(number: int, **changes: object) -> Feedback:
    plain = Feedback(
        feedback_id=f"f{number}",
        version=1,
        campaign="",
        role="champion",
        share=0.0,
        episode=f"e{number}",
        rating=None,
        prompt=f"question {number}",
        correction=f"answer {number}",
        withdrawn=False,
    )
    return replace(plain, **changes)  # type: ignore[arg-type]


def begun(decision: Decision, now: float, policy: Policy = POLICY) -> Trigger | None:
    """The campaign that begins at ``now``."""
    found = [each for each in decision.decide(policy, now) if isinstance(each, Trigger)]
    return found[0] if found else None


def said(decision: Decision, now: float, policy: Policy = POLICY) -> list[tuple[str, ...]]:
    """Verdict and reasons of what is told at ``now``."""
    made = [each for each in decision.decide(policy, now) if isinstance(each, Made)]
    return [(each.verdict, *each.reasons) for each in made]


def answered(decision: Decision, count: int, first: int = 0) -> None:
    """So many watched answers, one a second from ``first`` on."""
    for number in range(first, first + count):
        decision.serve(float(number))


def rung(rows: int) -> Decision:
    decision = Decision()
    decision.ring(ALARM, "drift-1")
    for number in range(rows):
        decision.correct(correction(number))
    return decision


def test_an_alarm_waits_for_its_rows_and_triggers_once() -> None:
    decision = rung(2)

    early = begun(decision, 10.0)
    decision.correct(correction(2))
    first = begun(decision, 11.0)
    again = begun(decision, 500.0)

    assert early is None
    assert first is not None
    assert (first.drift_event_id, first.release, first.new_rows) == ("drift-1", "r1", 3)
    assert again is None
    assert decision.new_rows == 0


def test_the_campaign_follows_from_the_alarm() -> None:
    first, second = begun(rung(3), 1.0), begun(rung(3), 2.0)

    assert first is not None
    assert second is not None
    assert first.campaign_id == second.campaign_id
    assert drift_event_id("a", ALARM) == drift_event_id("a", ALARM)
    assert drift_event_id("a", ALARM) != drift_event_id("a", replace(ALARM, generation_id="h"))


@pytest.mark.parametrize(
    "spoiled",
    [
        correction(2, withdrawn=True),
        correction(2, correction=""),
        correction(9, prompt="question 1", correction="answer 1"),
        correction(1, version=2, correction="better"),
    ],
    ids=["withdrawn", "a rating alone", "the same row again", "a new version of a row"],
)
def test_only_distinct_corrected_answers_count(spoiled: Feedback) -> None:
    decision = rung(2)

    decision.correct(spoiled)

    assert decision.new_rows == 2
    assert begun(decision, 1.0) is None


def test_corrections_of_answers_long_before_the_alarm_are_not_new() -> None:
    decision = Decision()
    answered(decision, 1000)
    for number, served_at in enumerate((10.0, 440.0, 460.0, 990.0)):
        decision.correct(correction(number, served_at=served_at))

    decision.ring(ALARM, "drift-1")
    answered(decision, 1000, 1000)
    for number, served_at in enumerate((20.0, 1500.0), 4):
        decision.correct(correction(number, served_at=served_at))
    [trigger] = [each for each in decision.decide(POLICY, 2e3) if isinstance(each, Trigger)]

    assert trigger.new_rows == 3
    assert (trigger.since, trigger.until) == (450.0, 2000.0)


def test_corrections_of_another_champion_are_not_new() -> None:
    decision = Decision()
    answered(decision, 100)
    decision.crown()
    decision.correct(correction(0, served_at=50.0))

    answered(decision, 100, 200)
    decision.ring(ALARM, "drift-1")

    assert decision.new_rows == 0


def test_a_withdrawn_correction_is_taken_back() -> None:
    decision = rung(3)

    decision.correct(correction(1, version=2, withdrawn=True))

    assert decision.new_rows == 2


def test_cool_down_and_budget_hold_an_alarm_back_until_they_pass() -> None:
    decision = rung(3)
    assert begun(decision, 0.0)
    decision.ring(ALARM, "drift-2")
    for number in range(3):
        decision.correct(correction(number))

    assert begun(decision, 99.0) is None
    assert begun(decision, 100.0)
    decision.ring(ALARM, "drift-3")
    for number in range(3):
        decision.correct(correction(number))
    assert begun(decision, 1_000.0) is None, "two a day"
    assert begun(decision, 86_401.0)


def test_a_change_of_champion_settles_the_alarm_and_its_rows() -> None:
    decision = rung(3)

    decision.crown()

    assert begun(decision, 1.0) is None
    assert decision.new_rows == 0


def test_a_change_of_behaviour_trains_nothing() -> None:
    decision = Decision()
    decision.ring(replace(ALARM, cause="behaviour"), "drift-1")
    for number in range(3):
        decision.correct(correction(number))

    assert begun(decision, 1.0) is None


def test_what_is_decided_is_told_when_it_changes_and_only_then() -> None:
    decision = rung(1)

    first, same = said(decision, 1.0), said(decision, 2.0)
    for number in range(1, 3):
        decision.correct(correction(number))
    last = said(decision, 3.0)

    assert first == [("wait_for_labels", "1 new corrections of 3 wanted.")]
    assert same == []
    assert last == [("retrain", "prompt_embedding drifted at event 310, 3 corrections.")]


NIGHT = Policy(new_rows=3, quiet_from=22, quiet_to=6)


def test_nothing_begins_in_the_quiet_hours() -> None:
    decision = rung(3)

    at_night, also = said(decision, 23 * 3600.0, NIGHT), said(decision, 29 * 3600.0, NIGHT)
    in_the_morning = begun(decision, 30 * 3600.0, NIGHT)

    assert at_night == [("notify_only", "Nothing begins in the quiet hours, 22:00 to 6:00 UTC.")]
    assert also == []
    assert in_the_morning is not None


def test_where_a_person_must_approve_it_is_recommended_once_and_not_begun() -> None:
    decision, policy = rung(3), Policy(new_rows=3, approval=True)

    [made] = decision.decide(policy, 1.0)

    assert isinstance(made, Made)
    assert (made.verdict, made.approval, made.campaign_id) == ("retrain", True, "")
    assert decision.decide(policy, 2.0) == []


def test_a_run_beyond_the_cost_budget_does_not_begin() -> None:
    decision, policy = rung(3), Policy(new_rows=3, cost_per_hour=2.0, cost_budget=3.0)
    decision.runs.begin("c0", 3, 60.0, 0.0)
    decision.runs.complete("c0", 3600.0, 0.0)

    [(verdict, why)] = said(decision, 1.0, policy)

    assert verdict == "notify_only"
    assert why.startswith("2.00 were spent on training in 30 days and the run would cost 2.00")
    assert begun(decision, 31 * 86_400.0, policy) is not None


def test_the_first_run_costs_what_is_declared_and_counts_while_it_is_under_way() -> None:
    policy = Policy(new_rows=3, cost_per_hour=2.0, cost_budget=3.0, first_run_s=4000.0)
    first = begun(rung(3), 1.0, replace(policy, first_run_s=9000.0))
    decision = rung(3)
    assert first is None
    assert begun(decision, 1.0, policy) is not None

    decision.ring(ALARM, "drift-2")
    for number in range(3):
        decision.correct(correction(number))
    [(verdict, why)] = said(decision, 2.0, policy)

    assert verdict == "notify_only"
    assert why.startswith("2.22 were spent on training in 30 days and the run would cost 2.22")


def blamed(decision: Decision, count: int, logprob: float, served_at: float) -> None:
    """So many poor answers; one in three less, one in three more probable than that."""
    for number in range(count):
        poor = correction(number, feedback_id=f"{served_at}-{number}", served_at=served_at)
        decision.blame(poor, logprob + 0.01 * (number % 3 - 1))


def served_and_blamed(lost: float, before: int = 40) -> Decision:
    """A champion whose poor answers lost so many nats per token since the drift began."""
    decision = Decision()
    answered(decision, 1000)
    blamed(decision, before, -1.5, 100.0)
    decision.ring(ALARM, "drift-1")
    for number in range(3):
        decision.correct(correction(number, served_at=900.0))
    blamed(decision, 40, -1.5 - lost, 900.0)
    return decision


def test_a_gain_is_asked_for_where_it_is_declared() -> None:
    asked = replace(POLICY, least_gain=0.1)

    refused = said(served_and_blamed(0.0), 1.0, asked)
    lost = begun(served_and_blamed(0.5), 1.0, asked)
    not_asked = begun(served_and_blamed(0.0), 1.0)

    assert refused[0][0] == "notify_only"
    assert refused[0][1].startswith("The champion lost at most 0.00")
    assert lost is not None
    assert not_asked is not None


def test_a_gain_that_is_asked_for_and_not_known_is_waited_for() -> None:
    decision, asked = served_and_blamed(0.5, before=19), replace(POLICY, least_gain=0.1)

    [(verdict, why)] = said(decision, 1.0, asked)
    blamed(decision, 1, -1.5, 101.0)

    assert verdict == "wait_for_labels"
    assert "there are 40 since the drift began and 19 before it" in why
    assert begun(decision, 2.0, asked) is not None


def test_poor_answers_of_long_ago_are_kept_as_a_sum_and_new_ones_do_not_join_it() -> None:
    decision = served_and_blamed(0.5, before=800)
    blamed(decision, 700, -2.0, 950.0)

    gain = decision.standard.loss_gain(decision.since)

    assert gain is not None
    assert gain.value == pytest.approx(0.5, abs=1e-3)
    assert gain.n == 500
    assert decision.standard.judged(decision.since)[1].n == 800


def test_the_price_of_a_run_follows_the_runs_before() -> None:
    decision = rung(3)
    decision.runs.begin("c0", 100, 60.0, 0.0)
    decision.runs.complete("c0", 50.0, 0.0)
    decision.runs.complete("c0", 50.0, 0.0)

    [made, _] = decision.decide(replace(POLICY, cost_per_hour=36.0), 1.0)

    assert isinstance(made, Made)
    assert made.figures.expected_s == pytest.approx(1.5)
    assert made.figures.cost == pytest.approx(0.015)
    assert made.figures.spent == pytest.approx(0.5)


def case_of(cause: str) -> tuple[Case, Attribution]:
    case = Case("drift-1", "r1", 0.0)
    case.ring(replace(ALARM, cause=cause), "drift-1")
    return case, case.attribute()


def test_an_alarm_whose_cause_training_cannot_cure_waits_no_longer() -> None:
    decision = rung(3)
    case, found = case_of("guard")

    [made] = decision.attribute(case, found, POLICY, 1.0)

    assert isinstance(made, Made)
    assert (made.verdict, made.cause) == ("notify_only", "guard")
    assert begun(decision, 2.0) is None


def test_a_champion_rated_worse_than_the_one_before_shall_be_rolled_back() -> None:
    decision = Decision()
    for number in range(60):
        decision.standard.rate(0.8 + 0.1 * (number % 2))
    decision.crown()
    for number in range(60):
        decision.standard.rate(0.4 + 0.1 * (number % 2))

    [made] = decision.attribute(*case_of("behaviour"), POLICY, 1.0)

    assert isinstance(made, Made)
    assert made.verdict == "roll_back"
