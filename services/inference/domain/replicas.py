"""Which of several endpoints answers next: the less busy one of two drawn, outliers left out."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

FAILURES: Final = 3
"""In a row, after which an endpoint is left out."""
FIRST_REST_S: Final = 2.0
LONGEST_REST_S: Final = 30.0
MOST_OUT: Final = 0.5
"""Share of the endpoints that may be left out: when more fail, the fault is not theirs."""


@dataclass(slots=True)
class Load:
    """Of one endpoint."""

    outstanding: int = 0
    failures: int = 0
    rest_s: float = FIRST_REST_S
    out_until_s: float = float("-inf")

    def out(self, now_s: float) -> bool:
        return now_s < self.out_until_s


@dataclass(slots=True)
class Replicas:
    """Endpoints by number. Times are of one monotonic clock, seconds."""

    count: int
    loads: list[Load] = field(init=False)

    def __post_init__(self) -> None:
        self.loads = [Load() for _ in range(self.count)]

    def choose(self, ready: Sequence[int], now_s: float, drawn: tuple[float, float]) -> int | None:
        """One of ``ready``, those that hold the engine; None when there is none.

        ``drawn``: two numbers uniform in [0, 1).
        """
        able = [number for number in ready if not self.loads[number].out(now_s)] or list(ready)
        if not able:
            return None
        first = able[int(drawn[0] * len(able))]
        if len(able) == 1:
            return first
        others = [number for number in able if number != first]
        second = others[int(drawn[1] * len(others))]
        return min(first, second, key=lambda number: self.loads[number].outstanding)

    def begin(self, number: int) -> None:
        self.loads[number].outstanding += 1

    def end(self, number: int, now_s: float, *, well: bool | None) -> None:
        """``well`` None: the caller left, nothing was learnt."""
        load = self.loads[number]
        load.outstanding -= 1
        if well:
            load.failures, load.rest_s = 0, FIRST_REST_S
        elif well is not None:
            load.failures += 1
            if load.failures >= FAILURES and self._may_leave_out(now_s):
                load.out_until_s = now_s + load.rest_s
                load.rest_s = min(load.rest_s * 2, LONGEST_REST_S)

    def _may_leave_out(self, now_s: float) -> bool:
        out = sum(load.out(now_s) for load in self.loads)
        return out + 1 <= self.count * MOST_OUT
