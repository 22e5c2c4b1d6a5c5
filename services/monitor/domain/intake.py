"""What is wrong with a prompt before anybody asks what it says."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from services.monitor.domain import evidence
from services.monitor.domain.detector import BLOCK
from services.monitor.domain.partition import Cells
from services.monitor.domain.sample import Sample
from services.monitor.domain.signal import Full, Signal

LONGEST_BYTES: Final = 65_000
"""The gateway cuts prompts at 64 KiB."""

MOST_ROWS: Final = 20_000

MOJIBAKE: Final = re.compile(
    "\N{REPLACEMENT CHARACTER}|[\u00c2\u00c3\u00e2][\u0080-\u00bf\u2018-\u203a\u20ac\u2122]"
)
CONTROL: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")


@dataclass(frozen=True, slots=True)
class Reason:
    """A signal over every event, those that the detectors leave out included."""

    name: str
    share: float
    labels: tuple[str, ...]


BROKEN_INPUT: Final = Reason(
    "broken_input",
    0.03,
    ("readable", "empty", "wrong encoding", "control characters", "cut at 64 KiB"),
)
DUPLICATES: Final = Reason("duplicates", 0.03, ("new", "near copy", "same episode"))
INTAKE: Final = (BROKEN_INPUT, DUPLICATES)


def condition(prompt: str) -> int:
    """Place of the prompt among ``BROKEN_INPUT.labels``."""
    if not prompt or prompt.isspace():
        return 1
    if not prompt.isascii() and MOJIBAKE.search(prompt):
        return 2
    if CONTROL.search(prompt):
        return 3
    long = 4 * len(prompt) >= LONGEST_BYTES and len(prompt.encode()) >= LONGEST_BYTES
    return 4 if long else 0


def copy(near: bool, again: bool) -> int:
    """Place of an event among ``DUPLICATES.labels``.

    A conversation goes on with other prompts: that its episode was seen before is no sign yet
    (and of long conversations the reference sees more beginnings than there are later on). A
    retry says the same again.

    Args:
        near: a near copy of one of the last events; again: its episode was seen before.
    """
    return (2 if again else 1) if near else 0


@dataclass(slots=True)
class Intake:
    """Every event, as `intake` sees it: the reference's, then those of the unfinished block.

    Fields:
        rows: ``[condition, copy]`` of each, places among the labels of the reasons.
    """

    rows: list[list[int]] = field(default_factory=list)
    strata: list[str] = field(default_factory=list)
    generations: list[str] = field(default_factory=list)
    prompts: list[str] = field(default_factory=list)

    def add(self, sample: Sample, near: bool, again: bool) -> None:
        self.rows.append([condition(sample.prompt), copy(near, again)])
        self.strata.append(sample.stratum)
        self.generations.append(sample.generation_id)
        self.prompts.append(sample.prompt[:80])
        if len(self.rows) > MOST_ROWS:
            del self.rows[0], self.strata[0]
        del self.generations[:-BLOCK], self.prompts[:-BLOCK]

    def cut(self, size: int) -> tuple["Intake", "Intake"]:
        """The first events, and the others."""
        left = len(self.generations) - (len(self.rows) - size)
        first = self.rows[:size], self.strata[:size], self.generations[:left], self.prompts[:left]
        rest = self.rows[size:], self.strata[size:], self.generations[left:], self.prompts[left:]
        return Intake(*first), Intake(*rest)

    def offer(self, signals: Sequence[Signal], strata: Cells) -> list[Full]:
        """Give the events, of ``(n,)`` strata, to those of the signals that watch the intake."""
        cells = np.array(self.rows, np.int64).T
        mine = [signal for signal in signals if signal.intake]
        offered = [(each, each.offer(cells[each.columns], strata)) for each in mine]
        return [(signal, last) for signal, last in offered if last is not None]

    def rang(self, settled: Sequence[Full]) -> list[tuple[Signal, str, list[str]]]:
        """Those of the settled signals that ring now, the generation at which, and prompts."""
        found: list[tuple[Signal, str, list[str]]] = []
        for signal, last in settled:
            if not signal.ring():
                continue
            shown = self.grown(signal)
            if shown is None:  # fewer broken prompts or copies are no incident
                signal.restart()
            else:
                found.append((signal, self.generations[last], shown))
        return found

    def grown(self, signal: Signal) -> list[str] | None:
        """The block's prompts in the signal's cell that grew most; None if that is the good one."""
        [channel] = signal.channels
        grown = int(np.argmax([shift.growth for shift in channel.shifts()]))
        cells = np.array([row[channel.column] for row in self.rows])
        return evidence.recent(self.prompts, cells, grown) if grown else None
