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
