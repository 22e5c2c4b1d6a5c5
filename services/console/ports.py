"""What the console asks of the outside. Each call ends within its timeout."""

from collections.abc import Sequence
from typing import Protocol

from services.console.domain.snapshot import (
    Alarm,
    Campaign,
    Decision,
    Health,
    Objective,
    Release,
    Scatter,
    Signal,
    Topic,
    Window,
)


class Away(Exception):
    """A backend did not answer; the text is for the operator."""


class Services(Protocol):
    async def health(self) -> Sequence[Health]:
        """Every service that has an endpoint; one that cannot be reached is `AWAY`."""


class Topics(Protocol):
    async def topics(self) -> Sequence[Topic]:
        """Raises `Away`."""


class Registry(Protocol):
    async def applications(self) -> Sequence[str]:
        """Raises `Away`."""

    async def releases(self, application: str) -> Sequence[Release]:
        """Raises `Away`."""

    async def campaigns(self, application: str) -> Sequence[Campaign]:
        """The newest, with their transitions. Raises `Away`."""


class Monitor(Protocol):
    async def signals(self) -> Sequence[Signal]:
        """Raises `Away`."""

    async def windows(self) -> Sequence[Window]:
        """Oldest first within a release. Raises `Away`."""

    async def alarms(self) -> Sequence[Alarm]:
        """The newest of each application, oldest first. Raises `Away`."""

    async def objectives(self) -> Sequence[Objective]:
        """Raises `Away`."""

    async def decisions(self) -> Sequence[Decision]:
        """The newest of each application, oldest first. Raises `Away`."""

    async def scatter(self, application: str) -> Scatter:
        """The champion's prompts: empty before its reference is complete. Raises `Away`."""
