"""Which answers the detectors take when there are too many."""

from services.monitor.domain.pace import Pace
from services.monitor.domain.recent import fingerprint


def taken(pace: Pace, second: int, answers: int, most: int = 100) -> int:
    marks = (fingerprint(f"{second}/{number}") for number in range(answers))
    return sum(pace.take(mark, float(second), most) for mark in marks)


def test_ordinary_traffic_is_taken_whole() -> None:
    pace = Pace()

    assert [taken(pace, second, 100) for second in range(5)] == [100] * 5
    assert pace.skipped == 0


def test_a_crowd_is_sampled_from_its_second_second_and_counted() -> None:
    pace = Pace()

    first, second = taken(pace, 0, 1000), taken(pace, 1, 1000)

    assert first == 1000
    assert 60 < second < 140
    assert pace.skipped == 1000 - second
    assert pace.stride == 10


def test_sampling_ends_with_the_crowd() -> None:
    pace = Pace()
    taken(pace, 0, 1000)

    after_a_break = taken(pace, 5, 50)

    assert after_a_break == 50


def test_a_replay_takes_the_same() -> None:
    first, again = Pace(), Pace()

    assert [taken(first, s, 500) for s in range(4)] == [taken(again, s, 500) for s in range(4)]
