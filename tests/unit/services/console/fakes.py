"""Values and twins for the tests of the console."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from services.console.domain.snapshot import (
    Alarm,
    Burn,
    Campaign,
    Decision,
    Evidence,
    Health,
    Objective,
    Release,
    Scatter,
    Signal,
    State,
    Topic,
    Transition,
    Window,
)
from services.console.ports import Away

NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)


def transition(
    sequence: int, to_state: str, after_s: float, share: float = 0.0, *evidence: Evidence
) -> Transition:
    return Transition(
        sequence=sequence,
        from_state="",
        to_state=to_state,
        share=share,
        reason="because",
        cause_topic="monitor.canary-evidence.v1",
        cause_event_id="id",
        at=NOON + timedelta(seconds=after_s),
        evidence=evidence,
    )


def campaign(*states: str, share: float = 0.0, began: datetime = NOON) -> Campaign:
    steps = [transition(n, state, 10.0 * n) for n, state in enumerate(states, start=1)]
    return Campaign("c", "bank", "retraining", states[-1], share, False, "", began, tuple(steps))


def release(digest: str, role: str, share: float) -> Release:
    return Release(digest, "bank", role, share, "c", NOON)


def signal(statistic: float = 3.0, threshold: float = 12.0) -> Signal:
    history = ((0, 0.0), (10, statistic))
    return Signal(
        "bank", "r" * 64, "prompt_embedding", "watching", 500, 500, 600, statistic, threshold,
        1e5, 1, history,
    )  # fmt: skip


def window(digest: str, minute: int, answered: int = 10) -> Window:
    return Window("bank", digest, NOON + timedelta(minutes=minute), answered, 0, 0.5, 0.9)


def alarm(after_s: float = 0.0, attributed: bool = True) -> Alarm:
    return Alarm(
        "bank", "r" * 64, "prompt_embedding", "language=de", "input", 0.93, attributed,
        NOON + timedelta(seconds=after_s), 640, 14.2, 12.0,
        evidence=("Prompts fall into other cells than the reference's.",),
        cells=(("topic 3", 0.02, 0.31),), terms=("tuple", "decorator"),
        before=("How do I open an account?",), after=("What does sorted() return?",),
    )  # fmt: skip


def objective(name: str = "latency", severity: str = "", budget_left: float = 0.8) -> Objective:
    burn = Burn("page", 14.4, 3600.0, 300.0, 16.2, 20.0, severity == "page")
    asked, month = "99 % of the answers take 2 s at most", 2_592_000.0
    return Objective("bank", "r" * 64, name, asked, month, 1000, 12, budget_left, severity, (burn,))


def decision(verdict: str = "retrain") -> Decision:
    reasons = ("The champion lost 0.4 nat on corrected answers.",)
    return Decision("bank", verdict, "input", reasons, 210, 200, 90.0, 0.05, "c" * 36, NOON)


@dataclass
class Backends:
    """Every port of the console in one twin; what is in ``away`` does not answer."""

    away: set[str] = field(default_factory=set)
    names: list[str] = field(default_factory=lambda: ["bank"])

    def _ask(self, name: str) -> None:
        if name in self.away:
            raise Away(f"{name} is away")

    async def health(self) -> Sequence[Health]:
        self._ask("services")
        return [Health("registry", State.READY)]

    async def topics(self) -> Sequence[Topic]:
        self._ask("kafka")
        return [Topic("feedback.given.v1", 7, 1, {"feedback": 2})]

    async def applications(self) -> Sequence[str]:
        self._ask("registry")
        return self.names

    async def releases(self, application: str) -> Sequence[Release]:
        self._ask("registry")
        return [release("a" * 64, "champion", 1.0)]

    async def campaigns(self, application: str) -> Sequence[Campaign]:
        self._ask("registry")
        return [campaign("requested", "training")]

    async def signals(self) -> Sequence[Signal]:
        self._ask("monitor")
        return [signal()]

    async def windows(self) -> Sequence[Window]:
        self._ask("monitor")
        return [window("a" * 64, 0)]

    async def alarms(self) -> Sequence[Alarm]:
        self._ask("monitor")
        return [alarm()]

    async def objectives(self) -> Sequence[Objective]:
        self._ask("monitor")
        return [objective()]

    async def decisions(self) -> Sequence[Decision]:
        self._ask("monitor")
        return [decision()]

    async def scatter(self, application: str) -> Scatter:
        self._ask("monitor")
        return Scatter(((0.0, 0.0),), ((1.0, 1.0),))
