"""One answer to be made, and what came of it so far."""

from collections.abc import Callable
from dataclasses import dataclass, field

from libs.runtime.clock import Clock
from services.inference.domain.assignment import Assignment
from services.inference.domain.cache import Key, Pieces
from services.inference.domain.generation import Ask, Delta, Finish, Served
from services.inference.domain.release import Table
from services.inference.handlers.admit import Seat


def _nothing(_: "Generation", __: Served) -> None:
    pass


@dataclass(slots=True)
class Origin:
    """Who answers: for certain once a piece has been given out."""

    assignment: Assignment

    @property
    def provider(self) -> str:
        """Name of the external provider; "" for an engine of our own."""
        external = self.assignment.release.engine.provider
        return external.name if external else ""


@dataclass(frozen=True, slots=True)
class Generation:
    """One answer to be made: to whom, by which release.

    ``key``: where the answer is kept for the next such request. ``cached``: it was kept.
    """

    id: str
    table: Table
    ask: Ask
    assignment: Assignment
    answered: "Callable[[Generation, Served], None]" = _nothing
    shadow_of: str = ""
    seat: Seat | None = None
    key: Key | None = None
    cached: Pieces = ()
    origin: Origin = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "origin", Origin(self.assignment))

    @property
    def release_digest(self) -> str:
        """Of the release that answers."""
        return self.origin.assignment.release.digest

    @property
    def provider(self) -> str:
        return self.origin.provider

    @property
    def queue_s(self) -> float:
        return self.seat.queue_s if self.seat else 0.0


@dataclass(slots=True)
class Trace:
    """What is known of a generation so far."""

    started_s: float
    pieces: list[Delta] = field(default_factory=list)
    first_token_s: float = 0.0
    finish: Finish | None = None
    error_code: str = ""

    @property
    def text(self) -> str:
        return "".join(piece.text for piece in self.pieces)

    def took(self, piece: Delta, clock: Clock) -> None:
        if not self.pieces:
            self.first_token_s = clock.monotonic() - self.started_s
        self.pieces.append(piece)
