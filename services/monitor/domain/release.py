"""One release as its traffic shows it."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from services.monitor.domain.generation import Feedback, Generation
from services.monitor.domain.objective import Objective
from services.monitor.domain.policy import Policy
from services.monitor.domain.ratings import Ratings, ratings
from services.monitor.domain.sample import Alarm
from services.monitor.domain.signal import Signal
from services.monitor.domain.slo import Ledger
from services.monitor.domain.watch import Watch
from services.monitor.domain.windows import Windows


@dataclass(slots=True)
class Release:
    """Minutes and service levels for every role but mirrored ones, a watch once it is champion.

    Fields:
        ratings: None before the first one.
        provider: of its newest answer; "" for an engine of our own.
    """

    windows: Windows = field(default_factory=Windows)
    watch: Watch | None = None
    ratings: Ratings | None = None
    ledger: Ledger = field(default_factory=Ledger)
    provider: str = ""

    @property
    def signals(self) -> list[Signal]:
        """Those that have their reference."""
        rated = self.ratings.signal if self.ratings is not None else None
        watched = self.watch.signals if self.watch is not None else []
        return [*watched, rated] if rated is not None else watched

    @property
    def moved(self) -> bool:
        """Whether a signal of its input rang."""
        return self.watch is not None and self.watch.latched

    def begin_anew(self) -> bool:
        """Forget what was watched with a reference of its own; whether there was any."""
        if not self.signals:
            return False
        self.watch = self.ratings = None
        return True

    def serve(self, answer: Generation, objectives: Sequence[Objective], at: float) -> None:
        """Count one answer, given at ``at`` seconds since 1970."""
        if answer.role == "shadow":
            return
        self.provider = answer.provider
        self.windows.add(answer)
        if objectives:
            self.ledger.add(objectives, answer, at)

    def rate(
        self, application: str, feedback: Feedback, rating: float, drift: Policy
    ) -> Alarm | None:
        """Take a rating of one of its answers."""
        self.ratings = self.ratings or ratings(application, feedback.release)
        return self.ratings.observe(feedback, rating, drift)

    def settle(self) -> bool:
        """Before the state is stored or shown; as `Watch.settle`."""
        self.windows.settle()
        self.ledger.settle()
        return self.watch is not None and self.watch.settle()
