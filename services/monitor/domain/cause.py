"""What the signals say together, some answers after the first of them rang.

An alarm is told at once with the cause that its own signal suggests. A case then stays open for
1,000 watched answers, or an hour; where all says that other inputs came, for 100 after its last
alarm, unless probes are awaited or one of the first two rows' is half way to its alarm. The
signals are read in this order; the first row that matches is the cause:

1. the served model's name changed, or a burst of probes to the provider differs: provider
2. the guard's verdicts changed: guard (an attack moves topics and lengths too)
3. duplicates, empty or unreadable prompts: data
4. the language mix changed: input
5. topics or lengths changed: input
6. retrieval scores fell for the same prompts: retrieval
7. other answers to the same prompts, nothing of the above: behaviour (template, settings, engine)
8. latency or cost alone: system

Confidence is the share of simulated cases so attributed that were so, (right + 1) / (all + 2),
of 20 independent draws per cause with shifts of ordinary size; it is not a probability for
your traffic. Without probes, three in five of a provider's changes look like row 7.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from services.monitor.domain.sample import Alarm

WAIT_EVENTS: Final = 1000
WAIT_S: Final = 3600.0
PLAIN_EVENTS: Final = 100
BEFORE_INPUT: Final = frozenset({"provider", "guard"})
HALF_WAY: Final = 0.5
"""Of a threshold, both natural logs. Simulated guards that block half of an attack on a quarter of
the traffic and had not rung by then were beyond it, guards of plain drifts at 0.3 to 0.45."""
PROBES: Final = 40
CERTAIN: Final = 0.95
UNPROBED: Final = 0.6
INPUT: Final = 0.78


@dataclass(frozen=True, slots=True)
class Probed:
    """A burst of probes as the gateway judged it.

    Fields:
        p_value: of the rank test against the stored answers.
    """

    drift_event_id: str
    probes: int
    p_value: float
    changed: bool
    request_model: str
    response_model: str

    @property
    def sentence(self) -> str:
        model = f" by {self.response_model}" if self.response_model else ""
        differ = "differ from" if self.changed else "agree with"
        return f"{self.probes} probes{model} {differ} the stored ones, p = {self.p_value:.2g}."


@dataclass(slots=True)
class Fired:
    """A signal that rang, as far as the attribution asks."""

    event_id: str
    signal: str
    cause: str
    sentence: str


@dataclass(frozen=True, slots=True)
class Attribution:
    cause: str
    confidence: float
    evidence: tuple[str, ...]


@dataclass(slots=True)
class Case:
    """The alarms of one release that belong together.

    Fields:
        event_id: of the first alarm; opened_at: seconds since 1970.
        provider: of the release at the first alarm; "" for an engine of our own.
        waited: watched answers since; rang_at: of these, those before its last alarm.
        asked: probes were requested; probe: what they said, when they did.
    """

    event_id: str
    release: str
    opened_at: float
    provider: str = ""
    waited: int = 0
    rang_at: int = 0
    asked: bool = False
    probe: str = ""
    probe_changed: bool = False
    fired: list[Fired] = field(default_factory=list)

    def ring(self, alarm: Alarm, event_id: str) -> None:
        """Add an alarm; a signal counts once."""
        if all(alarm.signal != fired.signal for fired in self.fired):
            self.fired.append(Fired(event_id, alarm.signal, alarm.cause, sentence(alarm)))
            self.rang_at = self.waited

    def wants_probe(self) -> bool:
        """Whether probes would tell more: once, for other answers of an external provider."""
        if self.asked or not self.provider:
            return False
        return any(fired.cause in ("behaviour", "system") for fired in self.fired)

    def take(self, probed: Probed) -> None:
        self.probe, self.probe_changed = probed.sentence, probed.changed

    def due(self, now: float, suspected: Callable[[], bool]) -> bool:
        """Whether to wait no longer.

        Args:
            suspected: whether a signal of `BEFORE_INPUT` is `HALF_WAY` to its alarm.
        """
        if self.probe_changed or self.waited >= WAIT_EVENTS or now >= self.opened_at + WAIT_S:
            return True
        answered = self.probe != "" or not self.asked
        calm = self.waited - self.rang_at >= PLAIN_EVENTS
        return calm and answered and self.attribute().cause == "input" and not suspected()

    def attribute(self) -> Attribution:
        """The first row of the table that matches."""
        told = [fired.sentence for fired in self.fired]
        if self.probe:
            told.append(self.probe)
        elif self.asked:
            told.append("The provider was asked for probes and has not answered.")
        for cause, matches in ROWS:
            if matches(self):
                return Attribution(cause, _confidence(self, cause), tuple(told))
        return Attribution(self.fired[0].cause, UNPROBED, tuple(told))


def _rang(*names: str) -> Callable[[Case], bool]:
    """One of these signals, or one with such a cause, rang."""

    def matches(case: Case) -> bool:
        return any(fired.signal in names or fired.cause in names for fired in case.fired)

    return matches


ROWS: Final[tuple[tuple[str, Callable[[Case], bool]], ...]] = (
    ("provider", lambda case: case.probe_changed or _rang("provider")(case)),
    ("guard", _rang("guard")),
    ("data", _rang("data")),
    ("input", _rang("input", "language")),
    ("retrieval", _rang("retrieval")),
    ("behaviour", _rang("behaviour")),
    ("system", _rang("system")),
)


def sentence(alarm: Alarm) -> str:
    """What rang, for a reader."""
    counted = "ratings" if alarm.signal == "feedback" else "answers"
    return f"{alarm.change}. Heard {alarm.at_event} {counted} after the reference was complete."


def first_opinion(alarm: Alarm, provider: str) -> Attribution:
    """The cause that one alarm suggests by itself."""
    case = Case("", alarm.release, 0.0, provider)
    case.ring(alarm, "")
    return case.attribute()


def _confidence(case: Case, cause: str) -> float:
    if cause == "input":
        named = any(fired.signal == "language" for fired in case.fired)
        return CERTAIN if named else INPUT
    if cause in ("behaviour", "system") and case.provider and not case.probe:
        return UNPROBED
    return CERTAIN
