"""Gives each request a place, now or after a while, or sends it away."""

import asyncio
from dataclasses import dataclass, field
from typing import Final

from libs.faults import Poison
from libs.runtime.clock import Clock
from services.inference.domain.admission import Admission, Priority, Queued, Refused, Ticket
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

    async def seat(self, table: Table, priority: Priority, budget_s: float) -> Seat:
        """A place for one answer. Raises as `seats`."""
        (seat,) = await self.seats(table, priority, budget_s, 1)
        return seat

    async def seats(
        self, table: Table, priority: Priority, budget_s: float, places: int
    ) -> list[Seat]:
        """Places for so many answers, all at once, waited for as long as the application and
        the caller allow.

        Raises:
            Poison: ``invalid_value``, more than there will ever be.
            Overloaded: not now.
            EngineFailed: ``deadline``, the caller's passed meanwhile.
        """
        began_s = now_s = self.clock.monotonic()
        limits = table.serving.limits
        if places > 1 and places > (most := self.admission.widest(limits)):
            raise Poison(
                f"n: {places} answers at once; this application has {most} places here",
                code="invalid_value",
                param="n",
            )
        match self.admission.enter(table.application, limits, priority, began_s, places):
            case Queued(ticket, displaced):
                if displaced is not None:
                    self._shed(displaced)
                await self._turn(ticket, min(limits.max_wait_s, budget_s), budget_s)
                now_s = self.clock.monotonic()
                instruments.QUEUE_SECONDS.observe(now_s - began_s)
            case Refused(reason, after_s):
                raise self._refusal(priority, reason, after_s)
        return [Seat(self, table.application, now_s - began_s, now_s) for _ in range(places)]

    def leave(self, seat: Seat) -> None:
        self.admission.leave(seat.application, seat.tokens, self.clock.monotonic() - seat.since_s)
        if self._waiting:
            self._call()

    async def _turn(self, ticket: Ticket, wait_s: float, budget_s: float) -> None:
        future = self._waiting[ticket] = asyncio.get_running_loop().create_future()
        instruments.WAITING.set(len(self._waiting))
        self._call()  # of a higher class than one that waits for several, it may fit in before
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
        """Places that came at the last moment, or were kept for it, go to the next."""
        if future.done() and not future.cancelled() and future.exception() is None:
            self.admission.pass_on(ticket)
        else:
            self.admission.abandon(ticket)
        self._call()

    def _call(self) -> None:
        for ticket in self.admission.admit(self.clock.monotonic()):
            future = self._waiting.get(ticket)
            if future is None or future.done():  # it is about to go away
                self.admission.pass_on(ticket)
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
