from dataclasses import replace

import pytest

from services.trainer.domain.engine import Order, objection, stale
from services.trainer.domain.gate import LEAST_ROWS, Measured, Probe, Row, Speed, judge

ORDER = Order()
PROBES = [Probe(f"r{row}", 32, 30, 0.1) for row in range(8)]
SPEEDS = [Speed(1, 60.0), Speed(8, 300.0)]


def rows(*losses: float, difference: float = 0.02) -> list[Row]:
    """Rows by how much worse the engine's loss is."""
    return [Row(f"r{place}", 20, 1.0 + loss, 1.0, difference) for place, loss in enumerate(losses)]


def measured(*losses: float, difference: float = 0.02) -> Measured:
    return Measured(rows(*losses, difference=difference), PROBES, SPEEDS)


def test_an_engine_that_speaks_as_its_weights_do_passes() -> None:
    verdict = judge(ORDER, measured(*[0.01, -0.01] * 8), "seed")

    assert verdict.passed
    assert len(verdict.reasons) == 4
    assert verdict.loss.estimate == pytest.approx(0.0)
    assert verdict.agreement == pytest.approx(30 / 32)
    assert verdict.tokens_per_s == 60.0


def test_a_small_mean_loss_does_not_pass_where_it_may_be_large() -> None:
    verdict = judge(ORDER, measured(*[0.2, -0.2] * 8), "seed")

    assert verdict.loss.estimate == pytest.approx(0.0)
    assert verdict.loss.upper > ORDER.max_loss_difference
    assert not verdict.passed


def test_differences_that_cancel_out_in_the_loss_are_still_seen() -> None:
    verdict = judge(ORDER, measured(*[0.0] * 16, difference=0.09), "seed")

    assert not verdict.passed
    assert verdict.reasons == [
        "log-probabilities differ by 0.0900 nat per token in the mean (bound 0.08)"
    ]


def test_the_same_figures_and_seed_give_the_same_verdict() -> None:
    given = measured(*[0.02, -0.01, 0.005, 0.0] * 4)

    assert judge(ORDER, given, "seed") == judge(ORDER, given, "seed")
    assert judge(ORDER, given, "seed").loss != judge(ORDER, given, "another").loss


def test_an_engine_that_is_late_does_not_pass() -> None:
    late = [replace(probe, first_token_s=11.0) for probe in PROBES]

    verdict = judge(ORDER, replace(measured(*[0.0] * 16), probes=late), "seed")

    assert not verdict.passed
    assert "first token after 11.00 s" in verdict.reasons[0]


def test_a_probe_without_an_answer_is_named() -> None:
    mute = [replace(PROBES[0], tokens=1, empty=True), *PROBES[1:]]

    verdict = judge(ORDER, replace(measured(*[0.0] * 16), probes=mute), "seed")

    assert verdict.reasons == ["7 of 8 probes answered; not r0"]


def test_too_few_rows_give_no_verdict() -> None:
    with pytest.raises(ValueError, match="the gate needs"):
        judge(ORDER, measured(*[0.0] * (LEAST_ROWS - 1)), "seed")


def test_greedy_tokens_are_reported_and_not_gated() -> None:
    differing = [replace(probe, agreed=0) for probe in PROBES]

    verdict = judge(ORDER, replace(measured(*[0.0] * 16), probes=differing), "seed")

    assert (verdict.passed, verdict.agreement) == (True, 0.0)


def test_the_share_of_identical_repeats_is_reported_and_not_gated() -> None:
    repeated = [replace(probe, repeats=2, identical=row % 2) for row, probe in enumerate(PROBES)]

    verdict = judge(ORDER, replace(measured(*[0.0] * 16), probes=repeated), "seed")

    assert (verdict.passed, verdict.identical, verdict.repeated) == (True, 0.25, 16)


@pytest.mark.parametrize("value", [0.0, -1.0, float("nan"), float("inf")])
def test_a_bound_that_holds_nothing_back_is_named(value: float) -> None:
    assert "max_loss_difference" in (objection(replace(ORDER, max_loss_difference=value)) or "")


@pytest.mark.parametrize(
    ("built", "current", "expected"), [("1", "1", False), ("1", "2", True), ("1", None, False)]
)
def test_an_engine_is_stale_where_another_version_runs(
    built: str, current: str | None, expected: bool
) -> None:
    assert stale(built, current) is expected
