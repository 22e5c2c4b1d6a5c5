"""What makes events draws of one kind: no near copies, far enough apart, within a stratum."""

from datetime import UTC, datetime

import numpy as np
import pytest

from services.monitor.domain.copies import Ring, copies, natural
from services.monitor.domain.panel import segments, strata
from services.monitor.domain.partition import unit
from services.monitor.domain.persistence import correlation_length
from services.monitor.domain.strata import season


def none(size: int) -> np.ndarray:
    return np.zeros(size, np.int64)


@pytest.mark.parametrize("ordered", [False, True])
def test_independent_cells_have_no_memory(ordered: bool) -> None:
    lengths = [
        correlation_length(np.random.default_rng(seed).integers(8, size=400), none(400), ordered)
        for seed in range(20)
    ]

    assert lengths == [1] * 20


@pytest.mark.parametrize("ordered", [False, True])
def test_runs_of_ten_need_events_that_are_many_apart(ordered: bool) -> None:
    random = np.random.default_rng(1)
    cells = random.integers(8, size=2_000)[np.cumsum(random.random(2_000) < 0.1)]

    assert 10 <= correlation_length(cells, none(2_000), ordered) <= 60


def test_a_daily_cycle_is_no_memory_within_its_strata() -> None:
    random = np.random.default_rng(2)
    hours = np.arange(2_000) // 250 % 2
    cells = random.integers(4, size=2_000) + 4 * hours

    assert correlation_length(cells, hours, False) == 1
    assert correlation_length(cells, none(2_000), False) > 50


def test_constant_cells_have_no_memory() -> None:
    assert correlation_length(none(100), none(100), False) == 1


def test_the_ring_and_the_batch_find_the_same_near_copies() -> None:
    random = np.random.default_rng(3)
    vectors = random.normal(size=(700, 32)).astype(np.float16)
    for place in random.integers(60, 700, size=200):
        vectors[place] = vectors[place - random.integers(1, 60)]
    ring = Ring()

    one_by_one = [ring.add(vector) for vector in vectors]

    assert one_by_one == copies(vectors).tolist()
    assert 100 < sum(one_by_one) < 200


def test_bursts_are_no_nature_but_buttons_are() -> None:
    random = np.random.default_rng(4)
    prompts = unit(random.normal(size=(400, 32)))

    assert not natural(np.repeat(prompts[:20], 20, axis=0))
    assert not natural(prompts)
    assert natural(prompts[random.integers(30, size=400)])
    assert natural(np.repeat(prompts[:1], 30, axis=0))


def test_seasons_are_quarters_of_days_of_two_kinds() -> None:
    sunday, monday = datetime(2026, 11, 22, 5, tzinfo=UTC), datetime(2026, 11, 23, 18, tzinfo=UTC)

    assert season(sunday.timestamp()) == "weekend night"
    assert season(monday.timestamp()) == "weekday evening"


def test_strata_with_a_hundred_rows_have_counts_of_their_own() -> None:
    names = ["day"] * 250 + ["night"] * 120 + ["feast"] * 3
    found = strata(names, expected=["dawn"])

    assert found.places(["day", "night", "feast", "unheard of"]).tolist() == [0, 1, -1, -1]
    assert found.silent == ["dawn", "feast"]
    assert strata(names, every=2).own == ["day"]
    assert strata([""] * 5).places(["", "x"]).tolist() == [0, -1]


def test_segments_are_the_common_ones_that_are_not_all() -> None:
    labels = [["language=en"]] * 150 + [["language=de", "route=a"]] * 120 + [["language=fr"]] * 9
    everywhere = [[*row, "tier=free"] for row in labels]

    assert segments(everywhere) == ["language=en", "language=de", "route=a"]
