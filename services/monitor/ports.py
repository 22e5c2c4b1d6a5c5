"""What the monitor asks of the outside."""

from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

from libs.kafka.record import Sink
from services.monitor.domain.application import Application

T_co = TypeVar("T_co", covariant=True)


class Language(Protocol):
    """The language of a text as ISO 639-1; "und" where it cannot be told."""

    def __call__(self, text: str, /) -> str: ...


class Show(Protocol):
    """Takes states that were just stored; must not change them."""

    def __call__(self, states: Sequence[Application], /) -> object: ...


class States(Protocol):
    """Keeps the state of each application; one process folds an application at a time."""

    def load(self, name: str) -> Application | None:
        """A copy of the newest stored state; None when there is none.

        Raises:
            Retryable: the store is away.
        """

    def store(self, states: Sequence[Application], send: Callable[[Sink], None]) -> None:
        """Store changed states and the events that ``send`` writes in one transaction.

        Raises:
            Retryable: the store is away; nothing was stored.
            Fatal: another process stored one of these since it was loaded.
        """


class Look(Protocol):
    """The stored states as somebody else's: whoever asks must not change them."""

    def __call__(self, name: str = "", /) -> list[Application]:
        """The newest stored state of an application, if it has one; of "" all, by name.

        Raises:
            Retryable: the store is away.
        """


class Newest(Protocol[T_co]):
    """The newest event of each application on a compacted topic."""

    def get(self, key: str, /) -> T_co | None: ...
