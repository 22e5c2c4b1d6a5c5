"""What feedback asks of the outside."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from services.feedback.domain import Feedback, Held, Output, Slot, Totals


@dataclass(frozen=True, slots=True)
class Place:
    """Where a slot lives. Both topics are keyed by application, so one application's events
    meet in one partition."""

    partition: int
    generation_id: str


class Work(Protocol):
    """One transaction over the slots of some partitions; nobody else changes them meanwhile."""

    def find(self, places: Collection[Place]) -> dict[Place, Slot]:
        """The slots at ``places``, in one query."""

    def put(self, slots: Mapping[Place, Slot]) -> None:
        """Store slots whose places were looked for before."""

    def drop(self, partition: int, whys: Mapping[str, str]) -> None:
        """Forget slots, by generation id, each with the bound that it broke."""

    def totals(self, partition: int) -> Totals: ...

    def oldest(self, partition: int) -> Sequence[Held]:
        """Some hundred slots, oldest first."""

    def waiting(self, partition: int) -> Sequence[Held]:
        """The same of those without an answer."""

    def say(self, said: Iterable[Output]) -> None:
        """Send these when, and only if, the transaction is committed; a joined event that is too
        large becomes a dead letter. The same feedback version has the same event id."""


class Slots(Protocol):
    """The join's state."""

    def begin(self, partitions: Collection[int]) -> AbstractContextManager[Work]:
        """All that is done within takes effect at the end, or none of it.

        Raises:
            Retryable: the store is away; nothing was stored or sent.
        """

    def partitions(self) -> Sequence[int]:
        """Those that ever held a slot."""


class Give(Protocol):
    def __call__(self, feedback: Feedback) -> None:
        """Put feedback on the log; back when the broker has it.

        Raises:
            Retryable: the broker did not confirm it.
        """


class Applications(Protocol):
    def __call__(self, key_sha256: str, /) -> str | None:
        """The application that an API key belongs to."""
