"""What is wrong with a prompt before anybody asks what it says."""

import re
from dataclasses import dataclass
from typing import Final

LONGEST_BYTES: Final = 65_000
"""The gateway cuts prompts at 64 KiB."""

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
DUPLICATES: Final = Reason("duplicates", 0.03, ("new", "near copy"))
INTAKE: Final = (BROKEN_INPUT, DUPLICATES)


def condition(prompt: str) -> int:
    """Place of the prompt among ``BROKEN_INPUT.labels``."""
    if not prompt.strip():
        return 1
    if not prompt.isascii() and MOJIBAKE.search(prompt):
        return 2
    if CONTROL.search(prompt):
        return 3
    return 4 if len(prompt.encode()) >= LONGEST_BYTES else 0
