"""What feedback asks of the outside."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from services.feedback.domain import Feedback, Joined, Limits, Refused, Slot


@dataclass(frozen=True, slots=True)
class Place:
    """Where a slot lives. Both topics are keyed by application, so one application's events
    meet in one partition."""

    partition: int
    generation_id: str


class Slots(Protocol):
    """The join's state."""

    def get(self, place: Place) -> Slot | None: ...

    def put(self, place: Place, slot: Slot) -> None:
        """Takes effect at once for ``get``; survives a crash once the batch is kept."""

    def forget(self, place: Place, why: str) -> None:
        """Drop and count."""

    def overdue(self, limits: Limits, now: datetime) -> Sequence[tuple[Place, str]]:
        """Slots beyond ``limits`` with the reason ("age", "number", "bytes"), oldest first."""


class Announce(Protocol):
    def __call__(self, joined: Joined) -> None:
        """Queue the joined event. The same feedback version has the same event id."""


class Refuse(Protocol):
    def __call__(self, refused: Refused) -> None:
        """Queue the feedback for the dead letters."""


class Give(Protocol):
    def __call__(self, feedback: Feedback) -> None:
        """Put feedback on the log; back when the broker has it.

        Raises:
            Retryable: the broker did not confirm it.
        """


class Applications(Protocol):
    def __call__(self, key_sha256: str, /) -> str | None:
        """The application that an API key belongs to."""
