"""What follows from an alarm: one alarm, one campaign at most, and not before it can help."""

import math
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final
from uuid import UUID, uuid5

from services.monitor.domain.benefit import RATINGS, Runs, Standard, difference
from services.monitor.domain.cause import Attribution, Case
from services.monitor.domain.generation import Feedback
from services.monitor.domain.past import Past
from services.monitor.domain.policy import (
    DAY_S,
    Obstacle,
    Policy,
    missing,
    obstacles,
    price,
    too_dear,
)
from services.monitor.domain.recent import fingerprint
from services.monitor.domain.sample import Alarm
from services.monitor.domain.verdict import REMEDIES, Figures, Made, Trigger, Verdict

__all__ = ["Decision", "Made", "Policy", "Trigger", "drift_event_id"]

NAMESPACE: Final = UUID("8e6f2c5e-4f0b-5d0c-9d0a-5a6a1c1f7b11")
MOST_ROWS: Final = 50_000
HISTORY: Final = 20

CURABLE: Final = frozenset({"input"})
"""Causes that new training rows can cure. A familiar prompt answered differently by the same
weights is a matter of the engine or its settings: it is told, and trains nothing."""


@dataclass(slots=True)
class Pending:
    """An alarm that waits for its rows; ``told``: what was last said of it, ``said``: how often.

    Fields:
        since: corrections of answers served from then on are new to it; seconds since 1970.
    """

    drift_event_id: str
    release: str
    signal: str
    at_event: int
    told: str = ""
    said: int = 0
    since: float = 0.0
    segment: str = ""


@dataclass(slots=True)
class Decision:
    """What was corrected of late, since the last trigger or crown, and what waits for it.

    Fields:
        rows: feedback id -> fingerprint of its prompt and correction; equal rows count once.
        served: feedback id -> when its answer was served, seconds since 1970.
        past: how far back rows reach while no alarm waits.
        triggered_at: seconds since 1970, growing, of the last day.
        former: ratings of the champion before.
        made: the last 20 decisions.
        counts: fingerprint -> how many rows have it.
    """

    rows: dict[str, int] = field(default_factory=dict)
    served: dict[str, float] = field(default_factory=dict)
    past: Past = field(default_factory=Past)
    pending: Pending | None = None
    triggered_at: list[float] = field(default_factory=list)
    standard: Standard = field(default_factory=Standard)
    former: list[float] = field(default_factory=list)
    runs: Runs = field(default_factory=Runs)
    made: list[Made] = field(default_factory=list)
    counts: dict[int, int] = field(init=False, repr=False, compare=False, default_factory=dict)

    def __post_init__(self) -> None:
        for row in self.rows.values():
            self.counts[row] = self.counts.get(row, 0) + 1

    @property
    def new_rows(self) -> int:
        return len(self.counts)

    @property
    def since(self) -> float:
        """Where the drift began at the latest, or would have begun if it rang now."""
        return self.past.since if self.pending is None else self.pending.since

    def ring(self, alarm: Alarm, event_id: str) -> None:
        """Note an alarm of the champion; an earlier one that still waits stays."""
        if alarm.cause in CURABLE and self.pending is None:
            self.pending = Pending(
                drift_event_id=event_id,
                release=alarm.release,
                signal=alarm.signal,
                at_event=alarm.at_event,
                since=self.since,
                segment=alarm.segment,
            )
            self._let_go()

    def serve(self, at: float) -> None:
        """Count a watched answer of the champion, served at ``at``."""
        if self.past.serve(at) and self.pending is None:
            self._let_go()

    def correct(self, feedback: Feedback) -> None:
        """Count a correction, or take it back."""
        self._drop(feedback.feedback_id)
        if feedback.withdrawn or not feedback.correction or feedback.served_at < self.since:
            return
        if len(self.rows) < MOST_ROWS:
            row = fingerprint(f"{feedback.prompt}\0{feedback.correction}")
            self.rows[feedback.feedback_id] = row
            self.served[feedback.feedback_id] = feedback.served_at
            self.counts[row] = self.counts.get(row, 0) + 1

    def blame(self, feedback: Feedback, logprob: float) -> None:
        """Note that the champion's answer was not good, and how probable the model thought it."""
        since = math.inf if self.pending is None else self.pending.since
        self.standard.blame(feedback.feedback_id, logprob, feedback.served_at, since)

    def crown(self) -> None:
        """Another champion: alarms and rows of the old one are settled."""
        self._clear()
        self.pending = None
        self.past = Past()
        self.former = [*self.standard.first, *self.standard.latest][-RATINGS:]
        self.standard = Standard()

    def decide(self, policy: Policy, now: float) -> list[Made | Trigger]:
        """Trigger when the pending alarm has its rows and nothing stands in the way; say what
        is decided whenever that changes. To be asked once the alarm's cause is known.

        Args:
            now: seconds since 1970, of the event that asks: the same on a replay.
        """
        pending = self.pending
        if pending is None or pending.told == "retrain":
            return []
        rows = self.new_rows
        if wanted := missing(policy, self.standard, pending.since, rows):
            return self._say(pending, "wait_for_labels", wanted, policy, now)
        found = obstacles(policy, self.standard, pending.since, self.triggered_at, now)
        if (dear := too_dear(policy, self.runs, rows, now)) is not None:
            found.append(dear)
        if found:
            return self._say(pending, "notify_only", found, policy, now)
        where = f" of {pending.segment}" if pending.segment else ""
        drifted = f"{pending.signal}{where} drifted at event {pending.at_event}, {rows} corrections"
        made = self._say(pending, "retrain", [Obstacle("", drifted + ".")], policy, now)
        return made if policy.approval else [*made, self._trigger(pending, drifted, policy, now)]

    def attribute(
        self, case: Case, found: Attribution, policy: Policy, now: float
    ) -> list[Made | Trigger]:
        """Take the cause of a case: an alarm that training cannot cure waits no longer."""
        if found.cause in CURABLE:
            return []
        ids = [case.event_id, *(fired.event_id for fired in case.fired)]
        if self.pending is not None and self.pending.drift_event_id in ids:
            self.pending = None
        reasons = [REMEDIES.get(found.cause, "Training cures drifted inputs only.")]
        verdict: Verdict = "notify_only"
        worse = difference([*self.standard.first, *self.standard.latest][-RATINGS:], self.former)
        if found.cause == "behaviour" and worse is not None and worse.upper < 0:
            verdict = "roll_back"
            reasons.append(
                f"It is rated {-worse.value:.2f} lower than the champion before it"
                f" ({worse.lower:.2f} to {worse.upper:.2f})."
            )
        return [
            self._keep(
                Made(
                    event_id=_event_id(case.event_id, "cause"),
                    release=case.release,
                    drift_event_id=case.event_id,
                    cause=found.cause,
                    verdict=verdict,
                    reasons=tuple(reasons),
                    figures=self._figures(policy, now),
                    at=now,
                )
            )
        ]

    def _trigger(self, pending: Pending, drifted: str, policy: Policy, now: float) -> Trigger:
        rows = self.new_rows
        self.pending = None
        self.triggered_at = [*(at for at in self.triggered_at if at > now - DAY_S), now]
        self._clear()
        campaign = _campaign(pending.drift_event_id)
        begun = datetime.fromtimestamp(pending.since, UTC)
        self.runs.begin(campaign, rows, self.runs.expected_s(rows, policy.first_run_s), now)
        return Trigger(
            campaign_id=campaign,
            release=pending.release,
            drift_event_id=pending.drift_event_id,
            reason=f"{drifted} of answers since {begun:%F %R} UTC",
            new_rows=rows,
            since=pending.since,
            until=now,
            segment=pending.segment,
        )

    def _say(
        self, pending: Pending, verdict: Verdict, why: list[Obstacle], policy: Policy, now: float
    ) -> list[Made | Trigger]:
        told = verdict + "".join(f" {obstacle.kind}" for obstacle in why if obstacle.kind)
        if told == pending.told:
            return []
        pending.told, pending.said = told, pending.said + 1
        begins = verdict == "retrain" and not policy.approval
        return [
            self._keep(
                Made(
                    event_id=_event_id(pending.drift_event_id, str(pending.said)),
                    release=pending.release,
                    drift_event_id=pending.drift_event_id,
                    cause="input",
                    verdict=verdict,
                    reasons=tuple(obstacle.sentence for obstacle in why),
                    figures=self._figures(policy, now),
                    at=now,
                    campaign_id=_campaign(pending.drift_event_id) if begins else "",
                    approval=verdict == "retrain" and policy.approval,
                )
            )
        ]

    def _figures(self, policy: Policy, now: float) -> Figures:
        expected_s = self.runs.expected_s(self.new_rows, policy.first_run_s)
        return Figures(
            new_rows=self.new_rows,
            rows_wanted=policy.new_rows,
            gain=self.standard.loss_gain(self.since),
            difference=self.standard.rating_difference(),
            expected_s=expected_s,
            cost=price(policy, expected_s),
            spent=price(policy, self.runs.spent_s(now)),
        )

    def _keep(self, made: Made) -> Made:
        self.made = [*self.made, made][-HISTORY:]
        return made

    def _let_go(self) -> None:
        """Of rows that are too old."""
        for feedback_id in [each for each, at in self.served.items() if at < self.since]:
            self._drop(feedback_id)

    def _drop(self, feedback_id: str) -> None:
        self.served.pop(feedback_id, None)
        if (row := self.rows.pop(feedback_id, None)) is not None:
            self.counts[row] -= 1
            if not self.counts[row]:
                del self.counts[row]

    def _clear(self) -> None:
        self.rows.clear()
        self.served.clear()
        self.counts.clear()


def drift_event_id(application: str, alarm: Alarm) -> str:
    """The same for the same alarm, however often it is folded; another one when a release that is
    champion once more rings at the same event of its new reference."""
    name = f"drift/{application}/{alarm.release}/{alarm.signal}/{alarm.generation_id}"
    return str(uuid5(NAMESPACE, f"{name}/{alarm.segment}" if alarm.segment else name))


def _campaign(drift_event_id: str) -> str:
    return str(uuid5(NAMESPACE, f"campaign/{drift_event_id}"))


def _event_id(drift_event_id: str, which: str) -> str:
    return str(uuid5(NAMESPACE, f"decision/{drift_event_id}/{which}"))
