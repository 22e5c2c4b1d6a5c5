"""Who is answered now, who waits, and who is sent away.

Each application has places of its own (its concurrency), a bounded queue in three classes,
and an allowance of tokens; all share the places of the gateway. A place that falls free goes to
the application that has had least of them for its weight (start-time fair queueing), within it
to the highest class, then to the one that waits longest. A request may ask for several places: it
gets them all at once or none, and while its turn lasts nobody takes the places it waits for.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final

from services.inference.domain.serving import Limits

SMOOTHING: Final = 0.1
LEAST_RETRY_S: Final = 1.0
MOST_RETRY_S: Final = 60.0


class Priority(IntEnum):
    LOW = 0
    NORMAL = 1
    HIGH = 2


@dataclass(slots=True, eq=False)
class Ticket:
    """A request that waits for ``places``. ``queue_full`` sheds it for one of a higher class."""

    application: str
    priority: Priority
    places: int = 1
    left: bool = False


@dataclass(frozen=True, slots=True)
class Admitted:
    """All its places are taken; `leave` gives back one."""


@dataclass(frozen=True, slots=True)
class Queued:
    """``displaced`` lost its place in the queue to this one."""

    ticket: Ticket
    displaced: Ticket | None = None


@dataclass(frozen=True, slots=True)
class Refused:
    """``reason``: "queue_full" or "token_rate"; come again after ``after_s`` seconds."""

    reason: str
    after_s: float


ADMITTED: Final = Admitted()


@dataclass(slots=True)
class Lane:
    """One application's part. ``limits`` are this process's share of what is ``stated``."""

    stated: Limits
    limits: Limits
    at_s: float
    balance: float = 0.0
    under_way: int = 0
    waiting: int = 0
    passed: float = 0.0
    mean_s: float = 1.0
    queues: tuple[deque[Ticket], ...] = field(default_factory=lambda: tuple(deque() for _ in "lnh"))

    def refill(self, now_s: float) -> None:
        limits = self.limits
        gained = (now_s - self.at_s) * limits.tokens_per_s
        self.balance = min(self.balance + gained, limits.burst_tokens)
        self.at_s = now_s

    def open(self, now_s: float, places: int = 1) -> bool:
        """Whether so many places, and tokens, are left to this application."""
        if self.under_way + places > self.limits.concurrency:
            return False
        if not self.limits.tokens_per_s:
            return True
        self.refill(now_s)
        return self.balance > 0

    def debt_s(self, now_s: float) -> float:
        """Until tokens are left again."""
        if not self.limits.tokens_per_s:
            return 0.0
        self.refill(now_s)
        return max(0.0, -self.balance / self.limits.tokens_per_s)

    def first(self) -> Ticket | None:
        """The one to be answered next; those that left are passed over."""
        return next((t for queue in reversed(self.queues) if (t := _head(queue))), None)

    def due(self, now_s: float) -> Ticket | None:
        """The first, if nothing but the gateway's own places can hold it up."""
        ticket = self.first() if self.waiting else None
        return ticket if ticket is not None and self.open(now_s, ticket.places) else None

    def last_below(self, priority: Priority) -> Ticket | None:
        """The newest of the lowest class below ``priority``."""
        for queue in self.queues[:priority]:
            while queue and queue[-1].left:
                queue.pop()
            if queue:
                return queue.pop()
        return None


def _head(queue: deque[Ticket]) -> Ticket | None:
    while queue and queue[0].left:
        queue.popleft()
    return queue[0] if queue else None


@dataclass(slots=True)
class Admission:
    """``most`` answers under way in all, in this one of ``processes``, which share the limits of
    each application. Times are of one monotonic clock, seconds."""

    most: int
    processes: int = 1
    under_way: int = 0
    lanes: dict[str, Lane] = field(default_factory=dict)
    _passed: float = 0.0

    def widest(self, limits: Limits) -> int:
        """The most places that one request can ever get."""
        return max(1, min(limits.part(self.processes).concurrency, self.most))

    def enter(
        self,
        application: str,
        limits: Limits,
        priority: Priority,
        now_s: float,
        places: int = 1,
    ) -> Admitted | Queued | Refused:
        """Ask for ``places``, at most `widest`."""
        lane = self._lane(application, limits, now_s)
        if not lane.waiting and self._free(places, now_s) and lane.open(now_s, places):
            self._take(lane, places)
            return ADMITTED
        if (debt_s := lane.debt_s(now_s)) > limits.max_wait_s:
            return Refused("token_rate", _bounded(debt_s))
        displaced = None
        if lane.waiting >= lane.limits.queue:
            displaced = lane.last_below(priority)
            if displaced is None:
                return Refused("queue_full", self.retry_s(application))
            displaced.left = True
            lane.waiting -= 1
        ticket = Ticket(application, priority, places)
        lane.queues[priority].append(ticket)
        lane.waiting += 1
        return Queued(ticket, displaced)

    def abandon(self, ticket: Ticket) -> None:
        """It waits no longer."""
        if not ticket.left:
            ticket.left = True
            self.lanes[ticket.application].waiting -= 1

    def pass_on(self, ticket: Ticket) -> None:
        """Its turn has come, and it is gone."""
        self.lanes[ticket.application].under_way -= ticket.places
        self.under_way -= ticket.places

    def leave(self, application: str, tokens: int, seconds: float) -> None:
        """An answer of ``tokens``, prompt and completion, ended after ``seconds``: one place."""
        lane = self.lanes[application]
        lane.under_way -= 1
        self.under_way -= 1
        lane.balance -= tokens if lane.limits.tokens_per_s else 0
        lane.mean_s += SMOOTHING * (seconds - lane.mean_s)

    def admit(self, now_s: float) -> Iterator[Ticket]:
        """Those whose turn has come; each has taken its places."""
        while self.under_way < self.most:
            due = [(lane, ticket) for lane in self.lanes.values() if (ticket := lane.due(now_s))]
            if not due:
                return
            lane, ticket = min(due, key=lambda one: one[0].passed)
            if self.under_way + ticket.places > self.most:
                return  # others would keep it waiting for ever
            ticket.left = True
            lane.waiting -= 1
            self._take(lane, ticket.places)
            yield ticket

    def wake_s(self, now_s: float) -> float | None:
        """When tokens bring the next turn, from now; None when only an end of an answer can."""
        waits = [
            lane.debt_s(now_s) + 1e-3
            for lane in self.lanes.values()
            if lane.waiting and lane.limits.tokens_per_s
        ]
        return min(waits, default=None)

    def retry_s(self, application: str) -> float:
        """When it may be worth coming again: the queue's length in mean answers."""
        lane = self.lanes[application]
        places = max(1, min(lane.limits.concurrency, self.most))
        return _bounded((lane.waiting + 1) * lane.mean_s / places)

    def waiting(self) -> int:
        return sum(lane.waiting for lane in self.lanes.values())

    def _lane(self, application: str, limits: Limits, now_s: float) -> Lane:
        lane = self.lanes.get(application)
        if lane is None:
            part = limits.part(self.processes)
            lane = self.lanes[application] = Lane(limits, part, now_s, part.burst_tokens)
        elif lane.stated is not limits:
            lane.refill(now_s)
            lane.stated, lane.limits = limits, limits.part(self.processes)
        return lane

    def _free(self, places: int, now_s: float) -> bool:
        """Whether the gateway has so many, and nobody has waited for them."""
        if self.under_way + places > self.most:
            return False
        return not any(lane.due(now_s) for lane in self.lanes.values())

    def _take(self, lane: Lane, places: int) -> None:
        """An application that rested does not save up turns."""
        start = max(lane.passed, self._passed)
        lane.passed = start + places / lane.limits.weight
        self._passed = start
        lane.under_way += places
        self.under_way += places


def _bounded(seconds: float) -> float:
    return min(max(seconds, LEAST_RETRY_S), MOST_RETRY_S)
