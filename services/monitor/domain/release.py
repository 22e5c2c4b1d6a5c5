"""One release as its traffic shows it."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from services.monitor.domain.generation import Generation
from services.monitor.domain.objective import Objective
from services.monitor.domain.slo import Ledger
from services.monitor.domain.watch import Watch
from services.monitor.domain.windows import Windows


@dataclass(slots=True)
class Release:
    """Minutes and service levels for every role but mirrored ones, a watch once it is champion.

    Fields:
        provider: of its newest answer; "" for an engine of our own.
    """

    windows: Windows = field(default_factory=Windows)
    watch: Watch | None = None
    ledger: Ledger = field(default_factory=Ledger)
    provider: str = ""

    def serve(self, answer: Generation, objectives: Sequence[Objective], at: float) -> None:
        """Count one answer, given at ``at`` seconds since 1970."""
        if answer.role == "shadow":
            return
        self.provider = answer.provider
        self.windows.add(answer)
        if objectives:
            self.ledger.add(objectives, answer, at)

    def settle(self) -> None:
        """Before the state is stored or shown."""
        self.windows.settle()
        self.ledger.settle()
