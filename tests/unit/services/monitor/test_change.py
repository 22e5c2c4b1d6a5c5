"""What moved, in words and units."""

import math
from collections.abc import Sequence

import numpy as np
import pytest

from services.monitor.domain.application import Application
from services.monitor.domain.change import change
from services.monitor.domain.fitting import Column, Table, fit
from services.monitor.domain.kernel import kernel_detector
from services.monitor.domain.outcome import Declared
from services.monitor.domain.signal import Signal, channel
from services.monitor.domain.units import labels, marks
from services.monitor.wire import incoming
from tests.unit.services.monitor.traffic import Traffic, served


def rung(column: Column, was: Sequence[float], now: Sequence[float], segment: str = "") -> Signal:
    """A signal of one column whose cells had these shares, and have those."""
    watching = channel(0, column.labels, np.full(len(was), 1 / len(was)), column.ordered, 1)
    watching.detector.reference[0] = was
    watching.detector.recent = np.array(now)  # type: ignore[union-attr]
    return Signal(column.signal, "", 10_000.0, [watching], segment=segment)


def ordered(name: str, edges: Sequence[float], unit: str = "") -> Column:
    texts = marks(name, np.array(edges), unit)
    return Column(name, labels(texts), np.zeros(0), True, texts)


def worded(name: str, *words: str) -> Column:
    return Column(name, list(words), np.zeros(0), False)


SLOW, FAST = [0.5, 0.4, 0.1], [0.8, 0.15, 0.05]


@pytest.mark.parametrize(
    ("column", "was", "now", "told"),
    [
        (
            ordered("latency", [math.log(0.4), math.log(1.5)]),
            FAST,
            SLOW,
            "Answers got slower: 50 % instead of 20 % of the answers took 400 ms or more",
        ),
        (
            ordered("latency", [math.log(0.4), math.log(1.5)]),
            [0.1, 0.2, 0.7],
            [0.1, 0.5, 0.4],
            "Answers got faster: 60 % instead of 30 % of the answers took under 1.5 s",
        ),
        (
            ordered("length", [math.log1p(120), math.log1p(2400)], "characters"),
            [0.5, 0.497, 0.003],
            [0.5, 0.25, 0.25],
            "Prompts got longer: 25 % instead of 0.3 % of the prompts have a length of "
            "2,400 characters or more",
        ),
        (
            ordered("cost", [math.log(0.002), math.log(0.0042)], "EUR"),
            FAST,
            SLOW,
            "Answers got dearer: 50 % instead of 20 % of the answers cost 0.002 EUR or more",
        ),
        (
            ordered("mean_logprob", [-1.25, -0.5]),
            [0, 1, 0],
            [1, 0, 0],
            "The model is less sure of its answers: 100 % instead of 0 % of the answers are "
            "under -1.25 nats per token",
        ),
        (
            ordered("feedback", [1.0, np.nextafter(1.0, 2.0)]),
            [0.1, 0.9, 0.0],
            [0.1, 0.5, 0.4],
            "Users rate higher: 40 % instead of 0 % of the ratings are over 1",
        ),
        (
            worded("guard_verdict", "allow", "block", "another"),
            [0.98, 0.02, 0],
            [0.91, 0.09, 0],
            "More answers were blocked by a guard (9 % instead of 2 %)",
        ),
        (
            worded("refusal", "answered", "refused"),
            [0.9, 0.1],
            [1, 0],
            "Fewer answers were refusals (0 % instead of 10 %)",
        ),
        (
            worded("served_model", "{new}", "old", "another"),
            [0.0, 1, 0],
            [0.7, 0.3, 0],
            "More answers came from {new} (70 % instead of 0 %)",
        ),
        (
            worded("prompt_embedding", "topic 0", "topic 1"),
            [0.9, 0.1],
            [0.6, 0.4],
            "Topics moved: 40 % instead of 10 % of the prompts are in topic 1",
        ),
    ],
    ids=lambda value: value.signal if isinstance(value, Column) else "",
)
def test_a_change_is_told_in_words_and_units(
    column: Column, was: Sequence[float], now: Sequence[float], told: str
) -> None:
    assert change(rung(column, was, now), [column]) == told
    assert change(rung(column, was, now, "language=de"), [column]) == f"Of language=de: {told}"


@pytest.mark.parametrize(("now", "plain"), [([0.55, 0.45], False), ([0.3, 0.7], True)])
def test_a_change_that_only_the_learned_kernel_hears_is_told_without_a_share(
    now: Sequence[float], plain: bool
) -> None:
    signal = rung(worded("prompt_embedding", "topic 0", "topic 1"), [0.6, 0.4], now)
    fitted, calibrated = np.random.default_rng(1).normal(size=(2, 250, 4)).astype(np.float32)
    signal.learned = kernel_detector(fitted, calibrated, 1)

    told = change(signal, [worded("prompt_embedding", "topic 0", "topic 1")])

    assert ("%" in told) == plain


def test_cells_have_the_numbers_of_a_typical_prompt() -> None:
    random = np.random.default_rng(1)
    length, took = 5 + random.normal(size=400), np.log(0.3) + 0.5 * random.normal(size=400)
    numbers = {"length": length, "latency": took}
    table = Table(np.zeros((400, 0), np.float32), numbers, {}, [""] * 400)

    [*_, latency] = fit(table, 1, True).columns

    assert latency.signal == "latency"
    assert latency.labels[0].startswith("under ")
    assert latency.labels[-1].endswith(" or more")
    assert all(mark.endswith((" ms", " s")) for mark in latency.marks)
    middle = latency.marks[len(latency.marks) // 2]
    assert 250 < float(middle.removesuffix(" ms")) < 350


def test_the_currency_is_the_one_that_holds_when_the_reference_is_fitted() -> None:
    application, traffic = Application("support", declared=Declared(currency="USD")), Traffic(1)
    answers = [incoming.generation(served(traffic), 1.0, str) for _ in range(61)]
    application.serve(answers[0], 1.0)
    application.declare(Declared(revision=1, currency="EUR"))

    for answer in answers:
        application.serve(answer, 1.0)

    watching = application.releases["r1"].watch
    assert watching is not None
    assert watching.units == {"length": "characters", "cost": "EUR"}
