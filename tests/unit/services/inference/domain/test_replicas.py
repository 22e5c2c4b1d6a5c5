import random
from collections import Counter

import pytest

from services.inference.domain.replicas import FAILURES, FIRST_REST_S, Replicas

draw = random.Random(3).random


def chosen(replicas: Replicas, ready: list[int], now_s: float = 0.0) -> int | None:
    return replicas.choose(ready, now_s, (draw(), draw()))


def fail(replicas: Replicas, number: int, now_s: float = 0.0) -> None:
    for _ in range(FAILURES):
        replicas.begin(number)
        replicas.end(number, now_s, well=False)


def test_the_less_busy_of_two_answers() -> None:
    replicas = Replicas(2)
    replicas.begin(0)

    assert {chosen(replicas, [0, 1]) for _ in range(20)} == {1}


def test_idle_endpoints_share_the_requests() -> None:
    replicas = Replicas(4)

    counts = Counter(chosen(replicas, [0, 1, 2, 3]) for _ in range(4000))

    assert all(count == pytest.approx(1000, rel=0.15) for count in counts.values())


def test_two_choices_keep_the_loads_together() -> None:
    replicas = Replicas(8)
    for _ in range(800):
        number = chosen(replicas, list(range(8)))
        assert number is not None
        replicas.begin(number)

    loads = [load.outstanding for load in replicas.loads]

    assert max(loads) - min(loads) <= 6


def test_an_outlier_is_left_out_for_a_while() -> None:
    replicas = Replicas(3)
    fail(replicas, 1)

    assert {chosen(replicas, [0, 1, 2]) for _ in range(60)} == {0, 2}
    later = FIRST_REST_S + 0.1
    assert {chosen(replicas, [0, 1, 2], later) for _ in range(60)} == {0, 1, 2}


def test_no_more_than_half_of_the_endpoints_are_left_out() -> None:
    replicas = Replicas(4)
    for number in range(4):
        fail(replicas, number)

    assert len({chosen(replicas, [0, 1, 2, 3]) for _ in range(100)}) == 2


def test_the_only_one_with_the_engine_is_asked_even_when_it_fails() -> None:
    replicas = Replicas(2)
    fail(replicas, 0)

    assert chosen(replicas, [0]) == 0
    assert chosen(replicas, []) is None


def test_callers_that_leave_say_nothing_of_an_endpoint() -> None:
    replicas = Replicas(2)

    for _ in range(10):
        replicas.begin(0)
        replicas.end(0, 0.0, well=None)

    assert chosen(replicas, [0, 1]) is not None
    assert not replicas.loads[0].out(0.0)
