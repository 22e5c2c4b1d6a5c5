"""Values and twins for the tests of the console."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from services.console.domain.snapshot import (
    Campaign,
    Evidence,
    Health,
    Release,
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
