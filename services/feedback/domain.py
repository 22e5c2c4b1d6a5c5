"""The join of feedback with the answers it is about: ``join(slot, event) -> (slot, outputs)``.

A slot is all that is known about one generation id. Whatever comes first waits for the
other; the order and the number of times in which events come do not change what is joined
at the end. Pure: no I/O, clock or wire format.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

CORRECTION_BYTES: Final = 64 * 1024
COMMENT_BYTES: Final = 8 * 1024
WAITING_PER_SLOT: Final = 8
"""Feedback ids that may wait for one answer."""
IDS_PER_SLOT: Final = 256
"""Feedback ids that one answer may have."""


class Code(StrEnum):
    """Why feedback is refused."""

    FOREIGN = "foreign_generation"
    SHADOW = "shadow_generation"
    MISSING = "no_generation"
    CROWDED = "too_much_feedback"
    OVERSIZE = "oversize"


@dataclass(frozen=True, slots=True)
class Generation:
    """What feedback needs of an answer. A shadow's texts are empty: it takes no feedback."""

    generation_id: str
    application: str
    release_digest: str
    campaign_id: str
    role: str
    canary_share: float
    episode_id: str
    subject: str
    labels: Mapping[str, str]
    prompt: str
    answer: str
    served_at: datetime
    shadow: bool = False


@dataclass(frozen=True, slots=True)
class Feedback:
    """One version of one piece of feedback; ``rating`` in [0, 1] or None."""

    feedback_id: str
    version: int
    generation_id: str
    application: str
    rating: float | None
    correction: str
    comment: str
    withdrawn: bool
    given_at: datetime

    @property
    def identity(self) -> str:
        """Applications cannot reach each other's feedback ids."""
        return f"{self.application}/{self.feedback_id}"


@dataclass(frozen=True, slots=True)
class Joined:
    feedback: Feedback
    generation: Generation


@dataclass(frozen=True, slots=True)
class Refused:
    feedback: Feedback
    code: Code
    reason: str


Output = Joined | Refused


@dataclass(frozen=True, slots=True)
class Slot:
    """One generation id: its answer, once known, and the feedback on it.

    ``versions`` holds the newest version of each feedback identity; ``waiting`` the newest
    feedback itself until the answer comes; ``seen`` the newest offset per topic, in the one
    partition that this slot lives in.
    """

    opened_at: datetime
    generation: Generation | None = None
    waiting: Mapping[str, Feedback] = field(default_factory=dict)
    versions: Mapping[str, int] = field(default_factory=dict)
    seen: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of the state, per partition."""

    generation_age: timedelta
    waiting_age: timedelta
    slots: int
    bytes: int

    def broken(self, age: timedelta, answered: bool, count: int, size: int) -> str | None:
        """The bound that a slot breaks in a partition of ``count`` slots and ``size`` bytes."""
        if age > (self.generation_age if answered else self.waiting_age):
            return "age"
        if count > self.slots:
            return "number"
        return "bytes" if size > self.bytes else None


@dataclass(frozen=True, slots=True)
class Totals:
    """What a partition holds."""

    slots: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Held:
    """A slot in a list by age."""

    generation_id: str
    opened_at: datetime
    answered: bool
    bytes: int


def overdue(
    limits: Limits, now: datetime, totals: Totals, oldest: Sequence[Held], waiting: Sequence[Held]
) -> dict[str, str]:
    """The bound that each slot beyond ``limits`` breaks, by generation id.

    Looked for among the oldest of a partition and among the oldest that still wait, each
    oldest first; there may be more behind them.
    """
    found: dict[str, str] = {}
    count, size = totals.slots, totals.bytes
    for one in oldest:
        why = limits.broken(now - one.opened_at, one.answered, count, size)
        if why is not None:
            found[one.generation_id] = why
            count, size = count - 1, size - one.bytes
    late = [one for one in waiting if now - one.opened_at > limits.waiting_age]
    return {one.generation_id: "age" for one in late} | found


def join(slot: Slot, event: Generation | Feedback) -> tuple[Slot, tuple[Output, ...]]:
    """Take one event in. A repeated or overtaken one changes nothing and says nothing."""
    if isinstance(event, Generation):
        return _take_generation(slot, event)
    return _take_feedback(slot, event)


def mark(slot: Slot, topic: str, offset: int) -> Slot:
    """``slot`` having seen ``topic`` up to ``offset``."""
    return replace(slot, seen={**slot.seen, topic: offset})


def has_seen(slot: Slot, topic: str, offset: int) -> bool:
    return slot.seen.get(topic, -1) >= offset


def leftover(slot: Slot) -> tuple[Refused, ...]:
    """What an evicted slot still owes an answer to."""
    reason = "no answer with this generation id came while the feedback waited"
    return tuple(Refused(one, Code.MISSING, reason) for one in slot.waiting.values())


def _take_generation(slot: Slot, generation: Generation) -> tuple[Slot, tuple[Output, ...]]:
    if slot.generation is not None:
        return slot, ()
    outputs = tuple(_settle(one, generation) for one in slot.waiting.values())
    return replace(slot, generation=generation, waiting={}), outputs


def _take_feedback(slot: Slot, feedback: Feedback) -> tuple[Slot, tuple[Output, ...]]:
    known = slot.versions.get(feedback.identity)
    if known is not None and known >= feedback.version:
        return slot, ()
    room = WAITING_PER_SLOT if slot.generation is None else IDS_PER_SLOT
    if known is None and len(slot.versions) >= room:
        reason = f"the answer has feedback under {room} ids already"
        return slot, (Refused(feedback, Code.CROWDED, reason),)
    slot = replace(slot, versions={**slot.versions, feedback.identity: feedback.version})
    if slot.generation is None:
        return replace(slot, waiting={**slot.waiting, feedback.identity: feedback}), ()
    return slot, (_settle(feedback, slot.generation),)


def _settle(feedback: Feedback, generation: Generation) -> Output:
    if feedback.application != generation.application:
        return Refused(feedback, Code.FOREIGN, "the answer belongs to another application")
    if generation.shadow:
        return Refused(feedback, Code.SHADOW, "nobody was shown this answer")
    return Joined(feedback, generation)
