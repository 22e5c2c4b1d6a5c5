"""Look: ask every backend at once and remember what they last said."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from libs.runtime.clock import Clock
from services.console.domain.snapshot import Answer, Campaign, Health, Release, Scatter, Snapshot
from services.console.ports import Away, Monitor, Registry, Services, Topics

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Look:
    """One look. A backend that is away keeps its last rows and says why."""

    services: Services
    topics: Topics
    registry: Registry
    monitor: Monitor
    clock: Clock

    async def __call__(self, last: Snapshot) -> Snapshot:
        services, topics, named, signals, windows = await asyncio.gather(
            self._health(),
            answer(self.topics.topics, last.topics),
            answer(self.registry.applications, last.applications),
            answer(self.monitor.signals, last.signals),
            answer(self.monitor.windows, last.windows),
        )
        alarms, objectives, decisions = await asyncio.gather(
            answer(self.monitor.alarms, last.alarms),
            answer(self.monitor.objectives, last.objectives),
            answer(self.monitor.decisions, last.decisions),
        )
        releases, campaigns = await asyncio.gather(
            answer(lambda: self._releases(named), last.releases),
            answer(lambda: self._campaigns(named), last.campaigns),
        )
        return Snapshot(
            at=self.clock.now(),
            services=services,
            topics=topics,
            applications=named,
            releases=releases,
            campaigns=campaigns,
            signals=signals,
            windows=windows,
            alarms=alarms,
            objectives=objectives,
            decisions=decisions,
        )

    async def scatter(self, application: str) -> Scatter | None:
        """None while the monitor is away."""
        try:
            return await self.monitor.scatter(application)
        except Away:
            return None

    async def _health(self) -> tuple[Health, ...]:
        try:
            return tuple(await self.services.health())
        except Away:
            return ()

    async def _releases(self, named: Answer[str]) -> Sequence[Release]:
        return await self._each(named, self.registry.releases)

    async def _campaigns(self, named: Answer[str]) -> Sequence[Campaign]:
        return await self._each(named, self.registry.campaigns)

    async def _each(
        self, named: Answer[str], ask: Callable[[str], Awaitable[Sequence[T]]]
    ) -> Sequence[T]:
        if named.away is not None:
            raise Away(named.away)
        found = await asyncio.gather(*(ask(name) for name in named.rows))
        return [row for rows in found for row in rows]


async def answer(ask: Callable[[], Awaitable[Sequence[T]]], last: Answer[T]) -> Answer[T]:
    """What ``ask`` finds; when it is away, what was found last and why there is no more."""
    try:
        return Answer(tuple(await ask()))
    except Away as away:
        return Answer(last.rows, str(away))
