"""Train or held out: a hash decides, once and for ever."""

import hashlib
from typing import Final

from services.preprocessing.domain.rows import Entry, Kind, Side
from services.preprocessing.domain.text import folded

HELD_OUT_SHARE: Final = 0.25


def side_of(entry: Entry) -> Side:
    """The side of a row. Evaluation cases are always held out.

    Rows of one group fall together; without a group, rows of one prompt do.
    """
    if entry.kind is Kind.EVALUATION_CASE:
        return Side.HELD_OUT
    unit = entry.group or folded(entry.contents.get("prompt", "")) or entry.record_id
    return Side.HELD_OUT if position(entry.application, unit) < HELD_OUT_SHARE else Side.TRAIN


def position(application: str, unit: str) -> float:
    """Where ``unit`` stands in [0, 1): the first 8 bytes of sha256("application:unit")."""
    digest = hashlib.sha256(f"{application}:{unit}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64
