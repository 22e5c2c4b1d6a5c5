import hashlib

from hypothesis import given
from hypothesis import strategies as st

from services.inference.domain.assignment import assign, mirror, position
from services.inference.domain.release import Engine, Role, Route
from tests.unit.services.inference.fakes import CANARY, CHAMPION, SHADOW, table

BOTH = table(Route(CHAMPION, Role.CHAMPION, 0.75), Route(CANARY, Role.CANARY, 0.25))


def everything(_: Engine) -> bool:
    return True


def test_the_position_is_the_stated_hash() -> None:
    head = hashlib.sha256(b"salt:unit").digest()[:8]

    assert position("salt", "unit") == int.from_bytes(head, "big") / 2**64


def test_the_canary_gets_its_share_of_units() -> None:
    roles = [assign(BOTH, f"episode-{n}", everything) for n in range(4000)]

    canaries = sum(role is not None and role.role is Role.CANARY for role in roles)
    assert 900 < canaries < 1100


@given(st.text(max_size=40))
def test_a_unit_stays_where_it_was_put(unit: str) -> None:
    assert assign(BOTH, unit, everything) == assign(BOTH, unit, everything)


@given(st.text(max_size=40), st.floats(0, 1), st.floats(0, 1))
def test_a_growing_share_never_takes_a_unit_back_from_the_canary(
    unit: str, one: float, other: float
) -> None:
    small, large = sorted((one, other))

    before, after = (
        assign(
            table(Route(CHAMPION, Role.CHAMPION, 1 - share), Route(CANARY, Role.CANARY, share)),
            unit,
            everything,
        )
        for share in (small, large)
    )

    assert before is not None
    assert after is not None
    assert not (before.role is Role.CANARY and after.role is Role.CHAMPION)


def test_both_arms_record_the_share_in_force() -> None:
    shares = {a.canary_share for n in range(50) if (a := assign(BOTH, str(n), everything))}

    assert shares == {0.25}


def test_a_canary_that_is_not_loaded_leaves_all_to_the_champion() -> None:
    for unit in map(str, range(50)):
        chosen = assign(BOTH, unit, lambda engine: engine == CHAMPION.engine)

        assert chosen is not None
        assert (chosen.role, chosen.canary_share) == (Role.CHAMPION, 0.0)


def test_a_canary_in_doubt_leaves_its_share_to_the_champion() -> None:
    for unit in map(str, range(50)):
        chosen = assign(BOTH, unit, everything, lambda engine: engine == CHAMPION.engine)

        assert chosen is not None
        assert (chosen.role, chosen.canary_share) == (Role.CHAMPION, 0.0)


def test_a_champion_in_doubt_leaves_nothing_to_a_canary() -> None:
    for unit in map(str, range(50)):
        doubted = assign(BOTH, unit, everything, lambda engine: engine == CANARY.engine)

        assert doubted == assign(BOTH, unit, everything)


def test_a_canary_alone_answers_with_probability_one() -> None:
    chosen = assign(BOTH, "unit", lambda engine: engine == CANARY.engine)

    assert chosen is not None
    assert (chosen.role, chosen.canary_share) == (Role.CANARY, 1.0)


def test_without_a_loaded_release_nobody_answers() -> None:
    assert assign(BOTH, "unit", lambda _: False) is None


def test_a_shadow_never_answers() -> None:
    alone = table(Route(SHADOW, Role.SHADOW, 0.0))

    assert assign(alone, "unit", everything) is None


def test_mirrors_are_drawn_apart_from_canaries() -> None:
    tables = table(
        Route(CHAMPION, Role.CHAMPION, 1.0),
        Route(CANARY, Role.CANARY, 0.5),
        Route(SHADOW, Role.SHADOW, 0.5),
    )
    units = [str(number) for number in range(2000)]

    canaries = {u for u in units if (a := assign(tables, u, everything)) and a.role is Role.CANARY}
    mirrored = {u for u in units if mirror(tables, u, everything)}

    assert 800 < len(mirrored) < 1200
    assert 400 < len(mirrored & canaries) < 600
