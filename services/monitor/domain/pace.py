"""Which answers the detectors take when there are more than they can fold.

The rule looks at the log alone, so that a replay chooses the same: an application that had more
than ``most`` answers in one second of the log has, in the next one, one answer in
``ceil(answers / most)`` looked at, chosen by its id. Counts, service levels and rollouts are
never sampled. A choice by id knows nothing of the content, so what is chosen stays exchangeable.
"""

from dataclasses import dataclass


@dataclass(slots=True)
class Pace:
    """The present second of the log.

    Fields:
        second: since 1970; count: its answers so far.
        stride: one answer in so many is looked at.
        skipped: answers that were not, ever.
    """

    second: int = 0
    count: int = 0
    stride: int = 1
    skipped: int = 0

    def take(self, mark: int, now: float, most: int) -> bool:
        """Whether the detectors look at this answer.

        Args:
            mark: fingerprint of its id; now: its record's time, seconds since 1970.
        """
        second = int(now)
        if second > self.second:
            crowd = self.count if second == self.second + 1 else 0
            self.stride = max(1, -(-crowd // most))
            self.second, self.count = second, 0
        self.count += 1
        if mark % self.stride == 0:
            return True
        self.skipped += 1
        return False
