import pytest

from services.evaluation.domain.comparison import ANSWER_LOSS, Difference, Interval, Segment
from services.evaluation.domain.gate import Gate, NothingToJudge, decide

GATE = Gate(worse_margin=0.08, least_gain=0.10)


def segment(name: str, lower: float, upper: float, rows: int = 120) -> Segment:
    middle = (lower + upper) / 2
    interval = Interval(middle, lower, upper, 0.95, rows)
    return Segment(name, rows, [Difference(ANSWER_LOSS, 3.0 + middle, 3.0, interval)])


def test_a_gain_in_one_domain_and_no_loss_in_the_other_passes() -> None:
    verdict = decide(GATE, [segment("bank", -0.012, 0.014), segment("python", -0.68, -0.54)])

    assert verdict.passed
    assert verdict.reasons == [
        "pass: bank: answer loss not worse by 0.08 nat; seen +0.001 [-0.012, +0.014] over 120 rows",
        "pass: python: answer loss not worse by 0.08 nat; "
        "seen -0.610 [-0.680, -0.540] over 120 rows",
        "pass: answer loss better by 0.1 nat in some segment; "
        "seen python -0.610 [-0.680, -0.540] over 120 rows",
    ]


def test_a_gain_in_one_domain_never_buys_a_loss_in_another() -> None:
    verdict = decide(GATE, [segment("bank", 0.118, 0.159), segment("python", -0.395, -0.258)])

    assert not verdict.passed
    assert [line[:4] for line in verdict.reasons] == ["FAIL", "pass", "pass"]


def test_a_model_that_gains_nothing_is_refused() -> None:
    verdict = decide(GATE, [segment("bank", -0.05, 0.05), segment("python", -0.30, -0.05)])

    assert not verdict.passed
    assert [line[:4] for line in verdict.reasons] == ["pass", "pass", "FAIL"]


@pytest.mark.parametrize(("upper", "passed"), [(0.0799, True), (0.08, False)])
def test_an_upper_bound_on_the_margin_is_worse(upper: float, passed: bool) -> None:
    verdict = decide(GATE, [segment("bank", -0.1, upper), segment("python", -0.9, -0.5)])

    assert verdict.passed is passed


def test_a_segment_of_few_rows_is_named_and_not_judged() -> None:
    verdict = decide(GATE, [segment("bank", 0.5, 0.9, rows=7), segment("python", -0.9, -0.5)])

    assert verdict.passed
    assert verdict.reasons[-1] == "bank: not judged, 7 rows of at least 8"


def test_without_enough_rows_there_is_no_verdict() -> None:
    with pytest.raises(NothingToJudge, match="bank: 7"):
        decide(GATE, [segment("bank", -0.9, -0.5, rows=7)])
