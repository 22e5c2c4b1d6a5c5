from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.inference.domain.admission import (
    Admission,
    Admitted,
    Priority,
    Queued,
    Refused,
    Ticket,
)
from services.inference.domain.serving import Limits

NARROW = Limits(concurrency=1, queue=2)
NORMAL = Priority.NORMAL


def ticket(outcome: Admitted | Queued | Refused) -> Ticket:
    assert isinstance(outcome, Queued)
    return outcome.ticket


def test_a_place_that_falls_free_goes_to_the_highest_class_then_to_the_longest_wait() -> None:
    admission, limits = Admission(10), Limits(concurrency=1, queue=8)
    assert isinstance(admission.enter("a", limits, NORMAL, 0.0), Admitted)
    classes = (Priority.LOW, NORMAL, Priority.HIGH, NORMAL)
    waiting = [ticket(admission.enter("a", limits, priority, 0.0)) for priority in classes]

    turns = []
    for _ in waiting:
        admission.leave("a", 0, 1.0)
        turns += list(admission.admit(0.0))

    assert [waiting.index(turn) for turn in turns] == [2, 1, 3, 0]


def test_a_full_queue_sheds_the_newest_of_the_lowest_class_first() -> None:
    admission = Admission(10)
    admission.enter("a", NARROW, NORMAL, 0.0)
    low = [ticket(admission.enter("a", NARROW, Priority.LOW, 0.0)) for _ in range(2)]

    outcome = admission.enter("a", NARROW, Priority.HIGH, 0.0)
    refused = admission.enter("a", NARROW, Priority.LOW, 0.0)

    assert isinstance(outcome, Queued)
    assert outcome.displaced is low[1]
    assert isinstance(refused, Refused)
    assert refused.reason == "queue_full"
    assert admission.waiting() == 2


def test_one_application_at_its_bound_does_not_hold_up_another() -> None:
    admission = Admission(10)
    for _ in range(3):
        admission.enter("greedy", NARROW, NORMAL, 0.0)

    assert isinstance(admission.enter("modest", NARROW, NORMAL, 0.0), Admitted)


def test_several_places_are_given_all_at_once_and_nobody_passes_by() -> None:
    admission, limits = Admission(10), Limits(concurrency=3, queue=8)
    for _ in range(2):
        admission.enter("a", limits, NORMAL, 0.0)
    wide = ticket(admission.enter("a", limits, NORMAL, 0.0, 3))
    narrow = ticket(admission.enter("a", limits, NORMAL, 0.0))

    turns = []
    for _ in range(2):
        admission.leave("a", 0, 1.0)
        turns.append(list(admission.admit(0.0)))
    under_way = admission.under_way
    admission.leave("a", 0, 1.0)

    assert (turns, under_way) == ([[], [wide]], 3)
    assert list(admission.admit(0.0)) == [narrow]


def test_a_higher_class_needs_not_wait_for_several_places_of_a_lower_one() -> None:
    admission, limits = Admission(10), Limits(concurrency=2, queue=8)
    admission.enter("a", limits, NORMAL, 0.0)
    admission.enter("a", limits, NORMAL, 0.0, 2)

    high = ticket(admission.enter("a", limits, Priority.HIGH, 0.0))

    assert list(admission.admit(0.0)) == [high]


def test_another_application_does_not_take_the_places_that_one_waits_for() -> None:
    admission, limits = Admission(4), Limits(queue=8)
    for _ in range(2):
        admission.enter("a", limits, NORMAL, 0.0)
    wide = ticket(admission.enter("b", limits, NORMAL, 0.0, 4))

    other = ticket(admission.enter("c", limits, NORMAL, 0.0))
    turns = []
    for _ in range(2):
        admission.leave("a", 0, 1.0)
        turns.append(list(admission.admit(0.0)))

    assert turns == [[], [wide]]
    for _ in range(4):
        admission.leave("b", 0, 1.0)
    assert list(admission.admit(0.0)) == [other]


def test_who_takes_several_places_has_had_as_many_turns() -> None:
    admission, limits = Admission(4), Limits(queue=400)
    for _ in range(100):
        admission.enter("wide", limits, NORMAL, 0.0, 4)
        for _ in range(4):
            admission.enter("narrow", limits, NORMAL, 0.0)
    under_way, places = ["wide"] * 4, Counter[str]()

    for _ in range(200):
        admission.leave(under_way.pop(0), 0, 1.0)
        for turn in admission.admit(0.0):
            under_way += [turn.application] * turn.places
            places[turn.application] += turn.places

    assert places["wide"] == pytest.approx(places["narrow"], rel=0.1)


def test_when_all_is_full_places_are_shared_by_weight() -> None:
    admission = Admission(4)
    limits = {"a": Limits(queue=400, weight=3.0), "b": Limits(queue=400, weight=1.0)}
    for application in ("a", "b"):
        for _ in range(300):
            admission.enter(application, limits[application], NORMAL, 0.0)
    under_way = ["a"] * 4
    turns: Counter[str] = Counter()

    for _ in range(200):
        admission.leave(under_way.pop(0), 0, 1.0)
        for turn in admission.admit(0.0):
            under_way.append(turn.application)
            turns[turn.application] += 1

    assert turns["a"] == pytest.approx(3 * turns["b"], rel=0.05)


def test_an_application_that_rested_does_not_take_all_turns_afterwards() -> None:
    admission, limits = Admission(1), Limits(queue=400)
    admission.enter("busy", limits, NORMAL, 0.0)
    for _ in range(100):
        admission.enter("busy", limits, NORMAL, 0.0)
    under_way = "busy"
    for _ in range(50):
        admission.leave(under_way, 0, 1.0)
        (turn,) = admission.admit(0.0)
        under_way = turn.application
    for _ in range(20):
        admission.enter("rested", limits, NORMAL, 0.0)

    order = []
    for _ in range(20):
        admission.leave(under_way, 0, 1.0)
        (turn,) = admission.admit(0.0)
        under_way = turn.application
        order.append(under_way)

    assert sum(one == other for one, other in pairwise(order)) <= 2


def test_tokens_used_beyond_the_allowance_are_waited_for() -> None:
    admission = Admission(10)
    limits = Limits(tokens_per_s=10.0, burst_tokens=50.0, max_wait_s=10.0)
    admission.enter("a", limits, NORMAL, 0.0)
    admission.leave("a", 100, 1.0)

    waiting = ticket(admission.enter("a", limits, NORMAL, 0.0))

    assert admission.wake_s(0.0) == pytest.approx(5.0, abs=0.01)
    assert list(admission.admit(4.9)) == []
    assert list(admission.admit(5.1)) == [waiting]


def test_a_debt_that_outlasts_the_longest_wait_is_refused_with_its_time() -> None:
    admission = Admission(10)
    limits = Limits(tokens_per_s=10.0, burst_tokens=50.0, max_wait_s=2.0)
    admission.enter("a", limits, NORMAL, 0.0)
    admission.leave("a", 250, 1.0)

    refused = admission.enter("a", limits, NORMAL, 0.0)

    assert refused == Refused("token_rate", 20.0)


def test_in_the_long_run_the_token_rate_holds() -> None:
    admission, now_s, used = Admission(10), 0.0, 0
    limits = Limits(tokens_per_s=100.0, burst_tokens=100.0, max_wait_s=0.0)
    while now_s < 100.0:
        if isinstance(admission.enter("a", limits, NORMAL, now_s), Admitted):
            admission.leave("a", 30, 0.1)
            used += 30
        now_s += 0.05

    assert used == pytest.approx(100 * 100, rel=0.03)


STEPS = st.tuples(st.sampled_from(["enter", "leave", "abandon"]), st.integers(1, 2))


@given(st.lists(STEPS, max_size=60), st.integers(2, 4))
def test_the_counts_stay_within_their_bounds_whatever_happens(
    steps: list[tuple[str, int]], most: int
) -> None:
    admission, limits = Admission(most), Limits(concurrency=2, queue=3)
    inside, waiting = 0, []
    for number, (step, places) in enumerate(steps):
        application = "ab"[number % 2]
        if step == "enter":
            outcome = admission.enter(application, limits, Priority(number % 3), 0.0, places)
            inside += places * isinstance(outcome, Admitted)
            if isinstance(outcome, Queued):
                waiting.append(outcome.ticket)
        elif step == "abandon" and waiting:
            admission.abandon(waiting.pop(0))
        elif step == "leave":
            busy = [name for name, lane in admission.lanes.items() if lane.under_way]
            if busy:
                admission.leave(busy[0], 1, 0.1)
                inside -= 1
        inside += sum(turn.places for turn in admission.admit(0.0))

        assert admission.under_way == inside <= most
        assert admission.waiting() == sum(not one.left for one in waiting)
        assert all(lane.under_way <= 2 for lane in admission.lanes.values())
        assert inside or not admission.waiting()


def test_processes_share_the_limits_of_an_application() -> None:
    limits = Limits(concurrency=5, queue=4, tokens_per_s=10.0, burst_tokens=60.0)
    outcomes = []
    for _ in range(2):
        one = Admission(10, processes=2)
        outcomes += [one.enter("a", limits, NORMAL, 0.0) for _ in range(5)]

    assert Counter(type(outcome) for outcome in outcomes) == {Admitted: 4, Queued: 4, Refused: 2}


def test_tokens_are_shared_too() -> None:
    limits = Limits(tokens_per_s=10.0, burst_tokens=60.0)
    admission = Admission(10, processes=2)
    admission.enter("a", limits, NORMAL, 0.0)
    admission.leave("a", 30, 1.0)

    assert isinstance(admission.enter("a", limits, NORMAL, 0.0), Queued)
    assert list(admission.admit(0.1))


def test_each_process_has_a_place() -> None:
    one = Admission(10, processes=4)

    assert isinstance(one.enter("a", Limits(concurrency=1, queue=0), NORMAL, 0.0), Admitted)
