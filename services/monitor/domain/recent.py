"""A bounded set of what was seen lately."""

from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray


@lru_cache(maxsize=256)
def fingerprint(name: str) -> int:
    """64 bits of ``name``; never 0, which marks an empty place."""
    return int.from_bytes(blake2b(name.encode(), digest_size=8).digest(), "big") or 1


@dataclass(slots=True)
class Recent:
    """The last ``len(ring)`` distinct names, first in first out.

    Fields:
        ring: ``(capacity,)`` uint64 fingerprints, 0 where empty.
        cursor: the place that is overwritten next.
    """

    ring: NDArray[np.uint64]
    cursor: int = 0
    index: set[int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        self.index = {int(mark) for mark in self.ring if mark}

    def add(self, name: str) -> bool:
        """Remember ``name``; False when it was there already."""
        mark = fingerprint(name)
        if mark in self.index:
            return False
        self.index.discard(int(self.ring[self.cursor]))
        self.ring[self.cursor] = mark
        self.cursor = (self.cursor + 1) % len(self.ring)
        self.index.add(mark)
        return True


def recent(capacity: int) -> Recent:
    return Recent(ring=np.zeros(capacity, np.uint64))
