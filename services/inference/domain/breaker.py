"""When to leave a provider alone, and how often to try it again."""

from dataclasses import dataclass
from enum import Enum
from typing import Final


class State(Enum):
    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


FAILURES: Final = 5
"""In a row, that open a closed breaker."""
WINDOW: Final = 20
"""Calls of which half must have failed, to open it likewise."""
REST_S: Final = 5.0
LONGEST_REST_S: Final = 60.0
TRIALS: Final = 2
"""In a row, that must do well to close a half-open breaker; one at a time."""


@dataclass(slots=True)
class Breaker:
    """Of one provider. Times are of one monotonic clock, seconds."""

    state: State = State.CLOSED
    rest_s: float = REST_S
    _opened_s: float = 0.0
    _in_a_row: int = 0
    _recent: tuple[bool, ...] = ()
    _trial_since_s: float | None = None

    def allows(self, now_s: float) -> bool:
        """Whether a call may be made now."""
        match self.state:
            case State.CLOSED:
                return True
            case State.OPEN:
                return now_s - self._opened_s >= self.rest_s
            case State.HALF_OPEN:
                since = self._trial_since_s
                return since is None or now_s - since >= LONGEST_REST_S

    def begin(self, now_s: float) -> None:
        """A call that was allowed is made; `succeeded`, `failed` or `ended` follows."""
        if self.state is State.CLOSED:
            return
        if self.state is State.OPEN:
            self.state, self._in_a_row = State.HALF_OPEN, 0
        self._trial_since_s = now_s

    def succeeded(self) -> None:
        self._trial_since_s = None
        if self.state is State.HALF_OPEN:
            self._in_a_row += 1
            if self._in_a_row >= TRIALS:
                self.state, self.rest_s, self._recent = State.CLOSED, REST_S, ()
                self._in_a_row = 0
            return
        self._in_a_row = 0
        self._note(well=True)

    def failed(self, now_s: float, after_s: float = 0.0) -> None:
        """``after_s``: how long the provider itself asks to be left alone."""
        self._trial_since_s = None
        if self.state is not State.CLOSED:
            self.rest_s = min(self.rest_s * 2, LONGEST_REST_S)
            self._open(now_s)
            return
        self._in_a_row += 1
        self._note(well=False)
        crowded = len(self._recent) == WINDOW and self._recent.count(False) * 2 >= WINDOW
        if self._in_a_row >= FAILURES or crowded or after_s >= REST_S:
            self.rest_s = min(max(REST_S, after_s), LONGEST_REST_S)
            self._open(now_s)

    def ended(self) -> None:
        """A call ended without telling anything of the provider: its caller left."""
        self._trial_since_s = None

    def _open(self, now_s: float) -> None:
        self.state, self._opened_s = State.OPEN, now_s
        self._in_a_row, self._recent = 0, ()

    def _note(self, *, well: bool) -> None:
        self._recent = (*self._recent[-(WINDOW - 1) :], well)


SHARE: Final = 0.1
"""Retries per request, in the long run."""
RESERVE: Final = 10.0
"""Retries that may follow each other at once."""


@dataclass(slots=True)
class RetryBudget:
    """Keeps retries a tenth of the requests: when all fails, they would double the load."""

    tokens: float = 1.0

    def request(self) -> None:
        self.tokens = min(self.tokens + SHARE, RESERVE)

    def take(self) -> bool:
        """Whether a retry may be made; it is counted."""
        if self.tokens < 1.0:
            return False
        self.tokens -= 1.0
        return True
