"""The gate between an engine and its traffic: does it still say what its weights say, in time?"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from services.trainer.domain.engine import Order

LEAST_ROWS: Final = 8
"""Below this an interval of resampled rows says nothing."""
RESAMPLES: Final = 10_000
CONFIDENCE: Final = 0.95


@dataclass(frozen=True, slots=True)
class Row:
    """One held-out answer, scored token by token by both; figures in nats per token.

    Args:
        difference: mean absolute difference of the tokens' log-probabilities.
    """

    record_id: str
    tokens: int
    engine_loss: float
    weights_loss: float
    difference: float


@dataclass(frozen=True, slots=True)
class Probe:
    """One prompt that the engine answered greedily.

    Args:
        agreed: of ``tokens``, those that the weights would choose after the same words.
        empty: it said nothing where the weights would have.
        repeats: answers to the same request after its first one, beside other requests.
        identical: of these, those that were the first one to the last token.
    """

    record_id: str
    tokens: int
    agreed: int
    first_token_s: float
    empty: bool = False
    repeats: int = 0
    identical: int = 0


@dataclass(frozen=True, slots=True)
class Speed:
    """New tokens per second of ``streams`` answers together, prompts included."""

    streams: int
    tokens_per_s: float


@dataclass(frozen=True, slots=True)
class Measured:
    """An engine beside its weights. ``left_out``: rows that were too long."""

    rows: Sequence[Row]
    probes: Sequence[Probe]
    speeds: Sequence[Speed]
    left_out: int = 0


@dataclass(frozen=True, slots=True)
class Interval:
    estimate: float
    lower: float
    upper: float
    confidence: float
    n: int


@dataclass(frozen=True, slots=True)
class Verdict:
    """``reasons``: what it failed by; of a passed engine, what it was seen to do.

    ``identical``: share of ``repeated`` answers that were as the first one; not gated.
    """

    passed: bool
    reasons: Sequence[str]
    difference: float
    loss: Interval
    agreement: float
    tokens_per_s: float
    first_token_p95_s: float
    identical: float
    repeated: int


def judge(order: Order, measured: Measured, seed: str) -> Verdict:
    """Pass when both differences are below the order's bounds, every probe was answered, and the
    first token came in time. The same seed and figures give the same verdict.

    Raises:
        ValueError: there are too few rows, or no probes.
    """
    rows, probes = measured.rows, measured.probes
    if len(rows) < LEAST_ROWS or not probes:
        raise ValueError(
            f"{len(rows)} rows ({measured.left_out} too long) and {len(probes)} probes; "
            f"the gate needs {LEAST_ROWS} rows and a probe"
        )
    difference = sum(row.difference * row.tokens for row in rows) / sum(row.tokens for row in rows)
    loss = paired(rows, seed)
    first = float(np.quantile([probe.first_token_s for probe in probes], 0.95))
    mute = [probe.record_id for probe in probes if probe.empty]
    told = [
        (
            difference <= order.max_logprob_difference,
            f"log-probabilities differ by {difference:.4f} nat per token in the mean "
            f"(bound {order.max_logprob_difference:g})",
        ),
        (
            loss.upper <= order.max_loss_difference,
            f"loss {loss.estimate:+.4f} [{loss.lower:+.4f}, {loss.upper:+.4f}] nat per token on "
            f"{loss.n} rows (bound {order.max_loss_difference:g})",
        ),
        (
            first <= order.max_first_token_s,
            f"first token after {first:.2f} s at the 95th percentile "
            f"(bound {order.max_first_token_s:g})",
        ),
        (
            not mute,
            f"{len(probes) - len(mute)} of {len(probes)} probes answered"
            + (f"; not {', '.join(mute[:3])}" if mute else ""),
        ),
    ]
    passed = all(good for good, _ in told)
    spoken = sum(probe.tokens for probe in probes)
    repeated = sum(probe.repeats for probe in probes)
    return Verdict(
        passed,
        [reason for good, reason in told if good == passed],
        difference,
        loss,
        sum(probe.agreed for probe in probes) / spoken if spoken else 0.0,
        next((each.tokens_per_s for each in measured.speeds if each.streams == 1), 0.0),
        first,
        sum(probe.identical for probe in probes) / repeated if repeated else 0.0,
        repeated,
    )


def paired(rows: Sequence[Row], seed: str) -> Interval:
    """Engine minus weights, mean over rows, with the percentile bootstrap's interval over rows."""
    differences = np.array([row.engine_loss - row.weights_loss for row in rows])
    random = np.random.default_rng(int.from_bytes(hashlib.sha256(seed.encode()).digest()[:8]))
    picks = random.integers(0, len(rows), size=(RESAMPLES, len(rows)))
    tail = (1 - CONFIDENCE) / 2
    lower, upper = np.quantile(differences[picks].mean(axis=1), [tail, 1 - tail])
    return Interval(float(differences.mean()), float(lower), float(upper), CONFIDENCE, len(rows))
