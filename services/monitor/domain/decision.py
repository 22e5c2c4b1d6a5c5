"""When an alarm becomes a campaign: one alarm, one campaign, and not before it can help."""

from dataclasses import dataclass, field
from uuid import UUID, uuid5

from services.monitor.domain.generation import Feedback
from services.monitor.domain.recent import fingerprint
from services.monitor.domain.watch import Alarm

NAMESPACE = UUID("8e6f2c5e-4f0b-5d0c-9d0a-5a6a1c1f7b11")
DAY_S = 86_400.0
MOST_ROWS = 50_000

CURABLE = frozenset({"input"})
"""Causes that new training rows can cure. A familiar prompt answered differently by the same
weights is a matter of the engine or its settings: it is told, and trains nothing."""


@dataclass(frozen=True, slots=True)
class Policy:
    """The application's drift policy.

    Fields:
        new_rows: distinct corrected answers wanted before retraining.
        cooldown_s: between two triggers.
        daily: triggers in any 24 hours.
    """

    reference_events: int = 500
    average_run_length: float = 100_000.0
    new_rows: int = 200
    cooldown_s: float = 0.0
    daily: int = 10


@dataclass(frozen=True, slots=True)
class Trigger:
    """A campaign that shall begin."""

    campaign_id: str
    release: str
    drift_event_id: str
    reason: str
    new_rows: int


@dataclass(slots=True)
class Pending:
    """An alarm that waits for its rows."""

    drift_event_id: str
    release: str
    signal: str
    at_event: int


@dataclass(slots=True)
class Decision:
    """What was corrected since the last trigger or change of champion, and what waits for it.

    Fields:
        rows: feedback id -> fingerprint of its prompt and correction; equal rows count once.
        triggered_at: seconds since 1970, growing, of the last day.
    """

    rows: dict[str, int] = field(default_factory=dict)
    pending: Pending | None = None
    triggered_at: list[float] = field(default_factory=list)

    @property
    def new_rows(self) -> int:
        return len(set(self.rows.values()))

    def ring(self, alarm: Alarm, event_id: str) -> None:
        """Note an alarm of the champion; an earlier one that still waits stays."""
        if alarm.cause in CURABLE and self.pending is None:
            self.pending = Pending(event_id, alarm.release, alarm.signal, alarm.at_event)

    def correct(self, feedback: Feedback) -> None:
        """Count a correction, or take it back."""
        if feedback.withdrawn or not feedback.correction:
            self.rows.pop(feedback.feedback_id, None)
        elif len(self.rows) < MOST_ROWS or feedback.feedback_id in self.rows:
            row = f"{feedback.prompt}\0{feedback.correction}"
            self.rows[feedback.feedback_id] = fingerprint(row)

    def crown(self) -> None:
        """Another champion: alarms and rows of the old one are settled."""
        self.rows.clear()
        self.pending = None

    def decide(self, policy: Policy, now: float) -> Trigger | None:
        """Trigger when the pending alarm has its rows, its pause and its place in the budget.

        Args:
            now: seconds since 1970, of the event that asks: the same on a replay.
        """
        recent = [at for at in self.triggered_at if at > now - DAY_S]
        waits = bool(self.triggered_at) and now < self.triggered_at[-1] + policy.cooldown_s
        rows = self.new_rows
        if self.pending is None or waits or len(recent) >= policy.daily or rows < policy.new_rows:
            return None
        pending, self.pending = self.pending, None
        self.triggered_at = [*recent, now]
        self.rows.clear()
        return Trigger(
            campaign_id=str(uuid5(NAMESPACE, f"campaign/{pending.drift_event_id}")),
            release=pending.release,
            drift_event_id=pending.drift_event_id,
            reason=f"{pending.signal} drifted at event {pending.at_event}, {rows} corrections",
            new_rows=rows,
        )


def drift_event_id(application: str, alarm: Alarm) -> str:
    """The same for the same alarm, however often it is folded."""
    name = f"drift/{application}/{alarm.release}/{alarm.signal}/{alarm.at_event}"
    return str(uuid5(NAMESPACE, name))
