"""The alarms of an application, and the case whose cause is not told yet."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from services.monitor.domain.cause import PROBES, Case, Probed, first_opinion
from services.monitor.domain.outcome import Attributed, Heard, Outcome, ProbeWanted, Rang
from services.monitor.domain.sample import Alarm

ALARMS: Final = 20


@dataclass(slots=True)
class Inquiry:
    """The champion's open case, and the last 20 alarms of any release."""

    case: Case | None = None
    alarms: list[Heard] = field(default_factory=list)

    def ring(self, alarm: Alarm, event_id: str, provider: str | None, now: float) -> list[Outcome]:
        """Note an alarm, and ask for probes where they would tell its cause.

        Args:
            provider: of the release, "" for an engine of our own; None: it is not the champion,
                and has no case.
        """
        rang = Rang(event_id, alarm, now, first_opinion(alarm, provider or ""))
        self.alarms = [*self.alarms, Heard(rang)][-ALARMS:]
        if provider is None:
            return [rang]
        if self.case is None:
            self.case = Case(event_id, alarm.release, now, provider)
        self.case.ring(alarm, event_id)
        if not self.case.wants_probe():
            return [rang]
        self.case.asked = True
        return [rang, ProbeWanted(self.case.event_id, alarm.release, PROBES, now)]

    def wait(self, release: str) -> None:
        """Count a watched answer of ``release``."""
        if self.case is not None and self.case.release == release:
            self.case.waited += 1

    def probe(self, probed: Probed) -> None:
        """Take what a burst of probes said; one that comes too late changes nothing."""
        if self.case is not None and self.case.event_id == probed.drift_event_id:
            self.case.take(probed)

    def conclude(self, now: float, suspected: Callable[[], bool]) -> tuple[Case, Attributed] | None:
        """Close the case when there is nothing more to wait for; ``suspected``: `Case.due`."""
        case = self.case
        return self.close(now) if case is not None and case.due(now, suspected) else None

    def close(self, now: float) -> tuple[Case, Attributed] | None:
        """Tell the open case's cause from what is known of it."""
        case, self.case = self.case, None
        if case is None:
            return None
        signals = tuple(fired.signal for fired in case.fired)
        told = Attributed(case.event_id, case.release, case.attribute(), signals, case.waited, now)
        ids = {fired.event_id for fired in case.fired}
        for heard in self.alarms:
            if heard.rang.event_id in ids:
                heard.attributed = told
        return case, told
