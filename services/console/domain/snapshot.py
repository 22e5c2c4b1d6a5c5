"""One look at the platform, as values."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Generic, TypeVar

T = TypeVar("T")


class State(StrEnum):
    READY = "ready"
    WAITING = "waiting"
    AWAY = "away"


@dataclass(frozen=True, slots=True)
class Health:
    """One service; ``detail`` says what it waits for, or why it cannot be reached."""

    name: str
    state: State
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Topic:
    """``lags``: consumer group -> events that it has not settled yet."""

    name: str
    events: int
    dead_letters: int
    lags: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Release:
    digest: str
    application: str
    role: str
    """"champion", "canary", "shadow" or "" when it takes no traffic."""
    share: float
    campaign_id: str
    created_at: datetime
    identical: float = 0.0
    """Share of ``repeated`` answers at its engine's gate that were the same again."""
    repeated: int = 0


@dataclass(frozen=True, slots=True)
class Evidence:
    """A number that decided; an interval when ``upper > lower``."""

    name: str
    value: float
    lower: float
    upper: float
    n: int


@dataclass(frozen=True, slots=True)
class Transition:
    sequence: int
    from_state: str
    to_state: str
    share: float
    reason: str
    cause_topic: str
    cause_event_id: str
    at: datetime
    evidence: tuple[Evidence, ...] = ()


@dataclass(frozen=True, slots=True)
class Campaign:
    campaign_id: str
    application: str
    kind: str
    state: str
    share: float
    paused: bool
    outcome_reason: str
    started_at: datetime
    transitions: tuple[Transition, ...] = ()
    progress: str = ""
    """How far it is in what takes long."""


@dataclass(frozen=True, slots=True)
class Signal:
    """A drift detector. ``statistic`` and ``threshold`` are natural logs."""

    application: str
    release_digest: str
    name: str
    phase: str
    reference_events: int
    reference_wanted: int
    events: int
    statistic: float
    threshold: float
    average_run_length: float
    alarms: int
    history: tuple[tuple[int, float], ...] = ()
    cause: str = ""
    """What an alarm of it speaks of by itself: "input", "behaviour", ..."""
    segment: str = ""
    """"label=value"; "" is all traffic."""
    notes: tuple[str, ...] = ()
    """Why something is not watched."""
    left_out: int = 0
    """Events of a repeated episode, near copies, and those without an embedding."""
    skipped: int = 0
    """Events passed over because there were too many."""
    stands: bool = False
    """Its alarm stands among those of all applications."""

    @property
    def level(self) -> float:
        return self.level_of(self.statistic)

    def level_of(self, statistic: float) -> float:
        """Log statistic over log threshold, not below 0: 1 is an alarm."""
        return max(statistic, 0.0) / self.threshold if self.threshold > 0 else 0.0


@dataclass(frozen=True, slots=True)
class Alarm:
    """An alarm and what its case came to; ``attributed`` is false while the case is open.

    ``cells``: what grew or shrank, with its expected and its observed share.
    """

    application: str
    release_digest: str
    signal: str
    segment: str
    cause: str
    confidence: float
    attributed: bool
    at: datetime
    at_event: int
    statistic: float
    threshold: float
    evidence: tuple[str, ...] = ()
    cells: tuple[tuple[str, float, float], ...] = ()
    terms: tuple[str, ...] = ()
    before: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    event_id: str = ""


@dataclass(frozen=True, slots=True)
class Burn:
    """How fast an error budget is spent over two windows; 1 spends it exactly in its period."""

    severity: str
    threshold: float
    long_s: float
    short_s: float
    long_rate: float
    short_rate: float
    burning: bool


@dataclass(frozen=True, slots=True)
class Objective:
    """A service level of one release. ``severity``: "" while it is kept, "ticket" or "page"."""

    application: str
    release_digest: str
    name: str
    asked: str
    period_s: float
    answers: int
    bad: int
    budget_left: float
    severity: str
    burns: tuple[Burn, ...] = ()


@dataclass(frozen=True, slots=True)
class Decision:
    """What shall follow from an alarm; costs in the application's currency."""

    application: str
    verdict: str
    cause: str
    reasons: tuple[str, ...]
    new_rows: int
    rows_wanted: int
    expected_seconds: float
    expected_cost: float
    campaign_id: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Scatter:
    """Prompts in the plane of the reference's first two principal axes."""

    reference: tuple[tuple[float, float], ...] = ()
    recent: tuple[tuple[float, float], ...] = ()


@dataclass(frozen=True, slots=True)
class Window:
    """One minute of one release; latencies in seconds."""

    application: str
    release_digest: str
    start: datetime
    answered: int
    failed: int
    latency_p50_s: float
    latency_p95_s: float


@dataclass(frozen=True, slots=True)
class Answer(Generic[T]):
    """What a backend said, or why it did not; then ``rows`` are those of the last answer."""

    rows: tuple[T, ...] = ()
    away: str | None = None


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything that one look found."""

    at: datetime | None = None
    """None before the first look."""
    services: tuple[Health, ...] = ()
    topics: Answer[Topic] = Answer()
    applications: Answer[str] = Answer()
    releases: Answer[Release] = Answer()
    campaigns: Answer[Campaign] = Answer()
    signals: Answer[Signal] = Answer()
    windows: Answer[Window] = Answer()
    alarms: Answer[Alarm] = Answer()
    objectives: Answer[Objective] = Answer()
    decisions: Answer[Decision] = Answer()
