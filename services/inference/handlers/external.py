"""Calls external providers: bounded attempts, few retries, and none of a provider that is ill."""

import asyncio
import random
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Sequence
from contextlib import aclosing, contextmanager
from dataclasses import dataclass, field
from typing import Final

import structlog

from libs.faults import Poison
from libs.runtime.clock import Clock
from services.inference.domain.breaker import Breaker, RetryBudget, State
from services.inference.domain.generation import (
    Ask,
    Delta,
    Finish,
    Message,
    Sampling,
    not_taken,
)
from services.inference.domain.release import Provider
from services.inference.handlers import instruments
from services.inference.ports import REFUSED_BY_ENGINE, EngineFailed, Providers

log = structlog.get_logger()

AGAIN: Final = frozenset({"engine_down", "engine_busy"})
"""Failures after which the same provider may be asked once more."""
MOST_ATTEMPTS: Final = 2
BACKOFF_S: Final = 0.2
LONGEST_WAIT_S: Final = 2.0
LEVELS: Final = {State.CLOSED: 0, State.HALF_OPEN: 1, State.OPEN: 2}


def refuse_unheard(provider: Provider, ask: Ask) -> None:
    """
    Raises:
        Poison: ``refused_by_engine``, names what the caller asks and ``provider`` cannot do.
    """
    if name := not_taken(ask, provider):
        reason = f"{name}: provider {provider.name} does not take it"
        raise Poison(reason, code=REFUSED_BY_ENGINE, param=name)


@dataclass(slots=True)
class Line:
    """What is known of one provider."""

    breaker: Breaker = field(default_factory=Breaker)
    budget: RetryBudget = field(default_factory=RetryBudget)


@dataclass(slots=True)
class _Attempt:
    own_s: float
    outcome: str = "cancelled"


@dataclass(slots=True)
class External:
    """Asks providers, and remembers how each of them does."""

    providers: Providers
    clock: Clock
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    chance: Callable[[], float] = random.random
    lines: dict[tuple[str, str], Line] = field(default_factory=dict)

    def available(self, provider: Provider) -> bool:
        """Whether it may be asked now."""
        if self.providers.why_not(provider) is not None:
            return False
        return self._line(provider).breaker.allows(self.clock.monotonic())

    def why_not(self, provider: Provider) -> str | None:
        """Why it can never be asked with these settings; None when it can."""
        return self.providers.why_not(provider)

    async def generate(
        self,
        provider: Provider,
        messages: Sequence[Message],
        sampling: Sampling,
        timeout_s: float,
    ) -> AsyncGenerator[Delta | Finish, None]:
        """As a `Generator`'s. Nothing is tried again once a piece has been given out."""
        line = self._line(provider)
        line.budget.request()
        ends_s = self.clock.monotonic() + timeout_s
        for number in range(1, MOST_ATTEMPTS + 1):
            begun = False
            try:
                with self._attempt(provider, line, ends_s - self.clock.monotonic()) as attempt:
                    asked = self.providers.generate(provider, messages, sampling, attempt.own_s)
                    async with aclosing(asked) as pieces:
                        async for piece in pieces:
                            if isinstance(piece, Finish):
                                attempt.outcome = "answered"
                            begun = True
                            yield piece
                return
            except EngineFailed as failure:
                wait_s = self._pause(failure, line, number, ends_s)
                if begun or wait_s is None:
                    raise
            instruments.PROVIDER_RETRIES.labels(provider.name).inc()
            await self.sleep(wait_s)

    def _pause(self, failure: EngineFailed, line: Line, number: int, ends_s: float) -> float | None:
        """How long to wait before the next attempt; None when there is none."""
        wait_s = failure.after_s if failure.code == "engine_busy" else 0.0
        wait_s = (wait_s or 0.0) + BACKOFF_S * self.chance()
        now_s = self.clock.monotonic()
        if failure.code not in AGAIN or number == MOST_ATTEMPTS or wait_s > LONGEST_WAIT_S:
            return None
        if now_s + wait_s >= ends_s or not line.breaker.allows(now_s + wait_s):
            return None
        return wait_s if line.budget.take() else None

    @contextmanager
    def _attempt(self, provider: Provider, line: Line, left_s: float) -> Iterator[_Attempt]:
        """What comes of it is counted, and known to the breaker."""
        if not line.breaker.allows(self.clock.monotonic()):
            instruments.provider_attempts(provider.name, "left_alone").inc()
            raise EngineFailed(f"{provider.name} is left alone for now", code="engine_down")
        line.breaker.begin(self.clock.monotonic())
        attempt = _Attempt(min(provider.timeout_s, left_s))
        try:
            yield attempt
        except Poison:
            attempt.outcome = "refused"
            raise
        except EngineFailed as failure:
            attempt.outcome = failure.code
            self._failed(provider, line, failure)
            if failure.code == "deadline" and attempt.own_s < left_s:
                raise EngineFailed(f"{provider.name} took too long", code="engine_down") from None
            raise
        finally:
            self._settle(provider, line, attempt.outcome)

    def _failed(self, provider: Provider, line: Line, failure: EngineFailed) -> None:
        after_s = failure.after_s or 0.0
        line.breaker.failed(
            self.clock.monotonic(), after_s if failure.code == "engine_busy" else 0.0
        )
        if line.breaker.state is State.OPEN:
            log.warning("provider.left_alone", provider=provider.name, rest_s=line.breaker.rest_s)

    def _settle(self, provider: Provider, line: Line, outcome: str) -> None:
        match outcome:
            case "answered" | "refused":
                line.breaker.succeeded()
            case "cancelled":
                line.breaker.ended()
        instruments.provider_attempts(provider.name, outcome).inc()
        instruments.provider_breaker(provider.name).set(LEVELS[line.breaker.state])

    def _line(self, provider: Provider) -> Line:
        key = (provider.name, provider.base_url)
        line = self.lines.get(key)
        if line is None:
            line = self.lines[key] = Line()
        return line
