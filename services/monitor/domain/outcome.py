"""What an application declares, and what folding its records can say."""

from dataclasses import dataclass, field
from typing import Literal

from services.monitor.domain.canary import Comparison, Phase
from services.monitor.domain.cause import Attribution
from services.monitor.domain.objective import Objective
from services.monitor.domain.policy import Policy
from services.monitor.domain.sample import Alarm
from services.monitor.domain.slo import Change
from services.monitor.domain.verdict import Made, Trigger


@dataclass(frozen=True, slots=True)
class Declared:
    """What the application's declaration says to the monitor; ``margin`` and ``alpha`` are the
    rollout's, ``collection`` is where its training rows come from."""

    revision: int = 0
    drift: Policy = field(default_factory=Policy)
    margin: float = 0.05
    alpha: float = 0.05
    collection: str = ""
    objectives: tuple[Objective, ...] = ()
    currency: str = "USD"


@dataclass(frozen=True, slots=True)
class Rang:
    """An alarm with the id of its event; ``at`` in seconds since 1970; ``opinion`` is what this
    alarm says by itself."""

    event_id: str
    alarm: Alarm
    at: float
    opinion: Attribution


@dataclass(frozen=True, slots=True)
class Attributed:
    """The cause of a case; ``signals`` in the order in which they rang."""

    event_id: str
    release: str
    found: Attribution
    signals: tuple[str, ...]
    events: int
    at: float


@dataclass(frozen=True, slots=True)
class ProbeWanted:
    event_id: str
    release: str
    probes: int
    at: float


@dataclass(frozen=True, slots=True)
class Evidence:
    """The standing of a rollout's phase."""

    campaign: str
    name: Literal["shadow", "canary"]
    phase: Phase
    comparison: Comparison


@dataclass(slots=True)
class Heard:
    """An alarm as it is remembered; ``attributed`` once its case is closed."""

    rang: Rang
    attributed: Attributed | None = None


Outcome = Rang | Attributed | ProbeWanted | Made | Trigger | Change | Evidence
