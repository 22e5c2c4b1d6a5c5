"""What moved in a signal, as one clause for people: the only place that words it.

Of cells in an order the clause tells the share on that side of an edge which changed most (the
cells themselves say nothing of slower or faster), of others the cell that changed most. The
figures of a number that the prompt explains in part are those of a typical prompt. "Now" are the
last events, weights halving every 30.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from services.monitor.domain import units
from services.monitor.domain.fitting import PROMPT_EMBEDDING, Column
from services.monitor.domain.signal import Channel, Signal

PLAIN: Final = 0.1
"""About twice what chance does to a share of some forty events."""
UNTOLD: Final = "Topics moved among what is known, and no single share tells it"
USUAL: Final = {
    "refusal": "answered",
    "finish_reason": "stop",
    "guard_verdict": "allow",
    "duplicates": "new",
    "broken_input": "readable",
    "missing_values": "none",
}
"""The word that is nothing to tell of: the others say more."""
ORDERED: Final = {
    "length": ("Prompts got shorter", "Prompts got longer", "of the prompts have a length of"),
    "latency": ("Answers got faster", "Answers got slower", "of the answers took"),
    "cost": ("Answers got cheaper", "Answers got dearer", "of the answers cost"),
    "mean_logprob": (
        "The model is less sure of its answers",
        "The model is surer of its answers",
        "of the answers are",
    ),
    "retrieval_score": ("Retrieval got worse", "Retrieval got better", "of the answers score"),
    "feedback": ("Users rate lower", "Users rate higher", "of the ratings are"),
    PROMPT_EMBEDDING: (
        "Topics moved, towards what is known best",
        "Topics moved, away from what is known",
        "of the prompts have a cosine distance of",
    ),
}
"""Fewer of what is high, more of it, and whose share is told."""
WORDED: Final = {
    ("refusal", "refused"): "answers were refusals",
    ("guard_verdict", "block"): "answers were blocked by a guard",
    ("guard_verdict", "flag"): "answers were flagged by a guard",
    ("finish_reason", "length"): "answers were cut at their longest",
    ("served_model", "another"): "answers came from a model of an unknown name",
    ("language", "another"): "prompts were in a language that was rare or unknown",
    ("duplicates", "near copy"): "prompts nearly repeat a recent one",
    ("duplicates", "same episode"): "prompts repeat one of their own episode",
    ("broken_input", "empty"): "prompts were empty",
    ("broken_input", "wrong encoding"): "prompts were in a wrong encoding",
    ("broken_input", "control characters"): "prompts had control characters in them",
    ("broken_input", "cut at 64 KiB"): "prompts were cut at 64 KiB",
}
COUNTED: Final = {
    "guard_verdict": "answers had the guard's verdict {}",
    "finish_reason": "answers ended with {}",
    "served_model": "answers came from {}",
    "language": "prompts were in the language {}",
    "refusal": "answers were {}",
    "duplicates": "prompts were {}",
    "broken_input": "prompts were {}",
    "missing_values": "events came without {}",
}


@dataclass(frozen=True, slots=True)
class Moved:
    """``by``: of the events, how many more or fewer than before."""

    by: float
    clause: str


def change(signal: Signal, columns: Sequence[Column]) -> str:
    """The clause of a signal that rang.

    Args:
        columns: of the fit, as the signal's channels count them; of the intake's none are asked.
    """
    found = [
        _moved(signal.name, channel, [] if signal.intake else columns[channel.column].marks)
        for channel in signal.channels
    ]
    most = max(found, key=lambda moved: moved.by)
    clause = UNTOLD if signal.learned and most.by < PLAIN else most.clause
    return f"Of {signal.segment}: {clause}" if signal.segment else clause


def _moved(name: str, channel: Channel, marks: Sequence[str]) -> Moved:
    shifts = channel.shifts()
    if marks:
        return _side(name, [s.expected for s in shifts], [s.observed for s in shifts], marks)
    usual = USUAL.get(name)
    most = max((s for s in shifts if s.cell != usual), key=lambda s: (abs(s.growth), s.growth))
    figures = _figures(most.expected, most.observed)
    if name == PROMPT_EMBEDDING:
        clause = f"Topics moved: {figures} of the prompts are in {most.cell}"
    else:
        more = "More" if most.growth > 0 else "Fewer"
        what = WORDED.get((name, most.cell)) or COUNTED[name].format(most.cell)
        clause = f"{more} {what} ({figures})"
    return Moved(abs(most.growth), clause)


def _side(name: str, was: Sequence[float], now: Sequence[float], marks: Sequence[str]) -> Moved:
    before, after = np.cumsum(was)[:-1], np.cumsum(now)[:-1]
    place = int(np.argmax(np.abs(after - before)))
    fewer, more, whose = ORDERED[name]
    low, high = float(before[place]), float(after[place])
    if high > low:
        clause = f"{fewer}: {_figures(low, high)} {whose} {units.below(marks, place)}"
    else:
        clause = f"{more}: {_figures(1 - low, 1 - high)} {whose} {units.at_least(marks, place)}"
    return Moved(abs(high - low), clause)


def _figures(was: float, now: float) -> str:
    return f"{units.percent(now)} instead of {units.percent(was)}"
