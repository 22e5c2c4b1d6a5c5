"""Gives each request a place, now or after a while, or sends it away."""

import asyncio
from dataclasses import dataclass, field
from typing import Final

from libs.runtime.clock import Clock
from services.inference.domain.admission import Admission, Admitted, Priority, Queued, Ticket
from services.inference.domain.generation import Ask
from services.inference.domain.release import Table
from services.inference.handlers import instruments
from services.inference.ports import EngineFailed, Overloaded

PRIORITIES: Final = {"high": Priority.HIGH, "low": Priority.LOW}
LABEL: Final = "priority"
"""The label that names a request's class; anything else is normal."""


def priority_of(ask: Ask) -> Priority:
    return PRIORITIES.get(ask.labels.get(LABEL, ""), Priority.NORMAL)


@dataclass(slots=True, eq=False)
class Seat:
    """A place, held until `leave`. ``tokens`` used are set by whoever knows them."""

    admit: "Admit"
    application: str
    queue_s: float
    since_s: float
    tokens: int = 0
    held: bool = True

    def leave(self) -> None:
        """Give it back; once."""
        if self.held:
            self.held = False
            self.admit.leave(self)

    def __del__(self) -> None:
        """A request whose client left before its answer began is never asked for a piece."""
        if self.held:
            self.leave()


@dataclass(slots=True)
class Admit:
    """Keeps the requests that wait."""

    admission: Admission
    clock: Clock
    _waiting: dict[Ticket, asyncio.Future[None]] = field(default_factory=dict)
    _alarm: asyncio.TimerHandle | None = None

    async def seat(self, table: Table, ask: Ask, budget_s: float) -> Seat:
        """A place for one answer, waited for as long as the application and the caller allow.

        Raises:
            Overloaded: not now.
            EngineFailed: ``deadline``, the caller's passed meanwhile.
        """
        began_s = self.clock.monotonic()
        priority, limits = priority_of(ask), table.serving.limits
        match self.admission.enter(table.application, limits, priority, began_s):
            case Admitted():
                return Seat(self, table.application, 0.0, began_s)
            case Queued(ticket, displaced):
                if displaced is not None:
                    self._shed(displaced)
                await self._turn(ticket, min(limits.max_wait_s, budget_s), budget_s)
                now_s = self.clock.monotonic()
                instruments.QUEUE_SECONDS.observe(now_s - began_s)
                return Seat(self, table.application, now_s - began_s, now_s)
            case refused:
                raise self._refusal(priority, refused.reason, refused.after_s)

    def leave(self, seat: Seat) -> None:
        self.admission.leave(seat.application, seat.tokens, self.clock.monotonic() - seat.since_s)
        if self._waiting:
            self._call()

    async def _turn(self, ticket: Ticket, wait_s: float, budget_s: float) -> None:
        future = self._waiting[ticket] = asyncio.get_running_loop().create_future()
        instruments.WAITING.set(len(self._waiting))
        self._set_alarm()
        try:
            async with asyncio.timeout(wait_s):
                await future
        except TimeoutError:
            self._give_up(ticket, future)
            if wait_s >= budget_s:
                raise EngineFailed("no place was free in time", code="deadline") from None
            after_s = self.admission.retry_s(ticket.application)
            raise self._refusal(ticket.priority, "max_wait", after_s) from None
        except asyncio.CancelledError:
            self._give_up(ticket, future)
            raise
        finally:
            self._waiting.pop(ticket, None)
            instruments.WAITING.set(len(self._waiting))

    def _give_up(self, ticket: Ticket, future: asyncio.Future[None]) -> None:
        """A place that came at the last moment goes to the next."""
        if future.done() and not future.cancelled() and future.exception() is None:
            self.admission.leave(ticket.application, 0, 0.0)
            self._call()
        else:
            self.admission.abandon(ticket)

    def _call(self) -> None:
        for ticket in self.admission.admit(self.clock.monotonic()):
            future = self._waiting.get(ticket)
            if future is None or future.done():  # it is about to go away
                self.admission.leave(ticket.application, 0, 0.0)
            else:
                future.set_result(None)
        self._set_alarm()

    def _set_alarm(self) -> None:
        """Tokens come by time alone."""
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        wake_s = self.admission.wake_s(self.clock.monotonic())
        if wake_s is not None:
            self._alarm = asyncio.get_running_loop().call_later(wake_s, self._call)

    def _shed(self, ticket: Ticket) -> None:
        future = self._waiting.get(ticket)
        if future is not None and not future.done():
            after_s = self.admission.retry_s(ticket.application)
            future.set_exception(self._refusal(ticket.priority, "displaced", after_s))

    def _refusal(self, priority: Priority, reason: str, after_s: float) -> Overloaded:
        instruments.REFUSALS.labels("busy").inc()
        instruments.SHED.labels(priority.name.lower(), reason).inc()
        return Overloaded(f"too many requests are under way ({reason})", after_s=after_s)
