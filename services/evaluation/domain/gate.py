"""The offline gate: better where it was asked to be, worse nowhere."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from services.evaluation.domain.comparison import ANSWER_LOSS, Interval, Segment

LEAST_ROWS: Final = 8
"""Below this an interval of resampled rows says nothing; such a segment is not judged."""


@dataclass(frozen=True, slots=True)
class Gate:
    """In nats per answer token, candidate minus reference."""

    worse_margin: float = 0.08
    least_gain: float = 0.10


@dataclass(frozen=True, slots=True)
class Verdict:
    passed: bool
    reasons: Sequence[str]


class NothingToJudge(ValueError):
    """No segment has enough rows."""


def decide(gate: Gate, segments: Sequence[Segment]) -> Verdict:
    """Pass when no segment may be worse by the margin and some segment surely gains.

    "May be" and "surely" are the upper bounds of the answer loss difference's interval.
    The rule is the same against a champion and against the base model.

    Raises:
        NothingToJudge: every segment has fewer than ``LEAST_ROWS`` rows.
    """
    judged = [segment for segment in segments if segment.rows >= LEAST_ROWS]
    if not judged:
        seen = ", ".join(f"{segment.name}: {segment.rows}" for segment in segments)
        raise NothingToJudge(f"no segment has {LEAST_ROWS} held-out rows ({seen or 'no rows'})")
    intervals = {entry.name: entry.difference(ANSWER_LOSS).interval for entry in judged}
    reasons = [
        _line(
            f"{name}: answer loss not worse by {gate.worse_margin:g} nat",
            interval,
            interval.upper < gate.worse_margin,
        )
        for name, interval in intervals.items()
    ]
    best = min(intervals, key=lambda name: intervals[name].upper)
    gains = intervals[best].upper < -gate.least_gain
    reasons.append(
        _line(
            f"answer loss better by {gate.least_gain:g} nat in some segment",
            intervals[best],
            gains,
            f"{best} ",
        )
    )
    reasons += [
        f"{segment.name}: not judged, {segment.rows} rows of at least {LEAST_ROWS}"
        for segment in segments
        if segment not in judged
    ]
    kept = all(interval.upper < gate.worse_margin for interval in intervals.values())
    return Verdict(kept and gains, reasons)


def _line(asked: str, seen: Interval, held: bool, where: str = "") -> str:
    return (
        f"{'pass' if held else 'FAIL'}: {asked}; seen {where}{seen.estimate:+.3f} "
        f"[{seen.lower:+.3f}, {seen.upper:+.3f}] over {seen.n} rows"
    )
