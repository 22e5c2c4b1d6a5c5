"""The bounded set."""

from services.monitor.domain.recent import Recent, recent


def test_a_name_is_new_once_until_enough_others_came() -> None:
    seen = recent(3)

    assert [seen.add(name) for name in "aab"] == [True, False, True]
    assert [seen.add(name) for name in "cda"] == [True, True, True]
    assert len(seen.index) == 3


def test_it_goes_on_from_its_ring() -> None:
    seen = recent(4)
    for name in "abcde":
        seen.add(name)

    again = Recent(seen.ring.copy(), seen.cursor)

    assert again.index == seen.index
    assert [again.add(name) for name in "ae"] == [True, False]
