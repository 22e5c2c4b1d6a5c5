"""One release by the minute."""

from bisect import bisect_left
from dataclasses import dataclass, field

import numpy as np

from services.monitor.domain.generation import Generation
from services.monitor.domain.recent import fingerprint

MINUTE_S = 60
KEPT = 60
OPEN = 2
SAMPLED = 256
QUANTILES = (0.5, 0.95, 0.99)

REFUSALS = (
    "i can't help",
    "i cannot help",
    "i can't assist",
    "i cannot assist",
    "i'm sorry, but i can",
    "i am sorry, but i can",
    "i'm unable to",
    "i am unable to",
    "as an ai",
)
"""An answer whose first 200 characters hold one of these, in lower case, is a refusal."""


@dataclass(slots=True)
class Sampled:
    """A bounded uniform sample of answers: those with the smallest fingerprints.

    Fields:
        marks: fingerprints of the generation ids, growing.
        latencies, first_tokens, per_tokens: seconds, in the order of ``marks``; nan where an
            answer has less than two tokens.
    """

    marks: list[int] = field(default_factory=list)
    latencies: list[float] = field(default_factory=list)
    first_tokens: list[float] = field(default_factory=list)
    per_tokens: list[float] = field(default_factory=list)

    def add(self, answer: Generation) -> None:
        mark = fingerprint(answer.generation_id)
        place = bisect_left(self.marks, mark)
        if place >= SAMPLED:
            return
        self.marks.insert(place, mark)
        self.latencies.insert(place, answer.latency_s)
        self.first_tokens.insert(place, answer.first_token_s)
        self.per_tokens.insert(place, answer.per_token_s)
        for column in (self.marks, self.latencies, self.first_tokens, self.per_tokens):
            del column[SAMPLED:]


@dataclass(slots=True)
class Minute:
    """Counts of one minute.

    Fields:
        start: seconds since 1970, a whole minute.
        cost: of all answers, in the application's currency.
        latency_s, first_token_s, per_token_s: ``[p50, p95, p99]`` of the answered.
        sampled: None once the minute is closed; the quantiles stay.
    """

    start: int
    answered: int = 0
    failed: int = 0
    refused: int = 0
    tokens: int = 0
    blocked: int = 0
    cached: int = 0
    cost: float = 0.0
    seconds: float = 0.0
    latency_s: list[float] = field(default_factory=lambda: [0.0, 0.0, 0.0])
    first_token_s: list[float] = field(default_factory=lambda: [0.0, 0.0, 0.0])
    per_token_s: list[float] = field(default_factory=lambda: [0.0, 0.0, 0.0])
    sampled: Sampled | None = field(default_factory=Sampled)

    def add(self, generation: Generation) -> None:
        self.cost += generation.cost
        self.blocked += generation.guard_verdict == "block"
        if generation.outcome == "failed":
            self.failed += 1
        if generation.outcome != "answered":
            return
        self.answered += 1
        self.tokens += generation.tokens
        self.seconds += generation.latency_s
        self.refused += generation.refused
        self.cached += generation.cached
        if self.sampled is not None:
            self.sampled.add(generation)

    def quantiles(self) -> None:
        """Bring the quantiles up to date with the sample."""
        if self.sampled is not None and self.sampled.latencies:
            self.latency_s = _quantiles(self.sampled.latencies)
            self.first_token_s = _quantiles(self.sampled.first_tokens)
            self.per_token_s = _quantiles(self.sampled.per_tokens)


@dataclass(slots=True)
class Windows:
    """The last 60 minutes that had an answer; a later answer to a closed minute is counted
    without moving its quantiles, one to a forgotten minute is not."""

    minutes: list[Minute] = field(default_factory=list)

    def add(self, generation: Generation) -> None:
        start = int(generation.served_at // MINUTE_S) * MINUTE_S
        if (minute := self._of(start)) is not None:
            minute.add(generation)

    def settle(self) -> None:
        """Before the state is stored or shown."""
        for minute in self.minutes:
            minute.quantiles()
        for minute in self.minutes[:-OPEN]:
            minute.sampled = None

    def _of(self, start: int) -> Minute | None:
        for minute in reversed(self.minutes):
            if minute.start == start:
                return minute
            if minute.start < start:
                break
        if len(self.minutes) == KEPT and start < self.minutes[0].start:
            return None
        self.minutes.append(Minute(start))
        self.minutes.sort(key=lambda minute: minute.start)
        del self.minutes[:-KEPT]
        return next((minute for minute in self.minutes if minute.start == start), None)


def refuses(answer: str) -> bool:
    head = answer[:200].lower().replace("\N{RIGHT SINGLE QUOTATION MARK}", "'")
    return any(map(head.__contains__, REFUSALS))


def _quantiles(values: list[float]) -> list[float]:
    known = np.array([value for value in values if value == value])
    if not len(known):
        return [0.0, 0.0, 0.0]
    return [float(value) for value in np.quantile(known, QUANTILES)]
