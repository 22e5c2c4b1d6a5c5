"""What the gateway grants one application."""

from dataclasses import dataclass, replace
from typing import Final


@dataclass(frozen=True, slots=True)
class Limits:
    """Of the requests of one application.

    Args:
        concurrency: answers under way.
        queue: requests that wait for a place, for at most ``max_wait_s``.
        tokens_per_s: of prompts and completions in the long run; 0 sets no limit.
        burst_tokens: that may be used at once after a rest.
        weight: share beside other applications when all places are taken.
    """

    concurrency: int = 32
    queue: int = 64
    max_wait_s: float = 10.0
    tokens_per_s: float = 0.0
    burst_tokens: float = 0.0
    weight: float = 1.0

    def part(self, processes: int) -> "Limits":
        """Of one of several processes that share them; each has one place at least."""
        if processes == 1:
            return self
        return replace(
            self,
            concurrency=max(1, self.concurrency // processes),
            queue=-(-self.queue // processes),
            tokens_per_s=self.tokens_per_s / processes,
            burst_tokens=self.burst_tokens / processes,
        )


@dataclass(frozen=True, slots=True)
class Caching:
    """Of whole answers at temperature 0; ``prefix``: of prompts' beginnings, in the engine."""

    enabled: bool = False
    ttl_s: float = 600.0
    entries: int = 1000
    prefix: bool = False


@dataclass(frozen=True, slots=True)
class Watching:
    """Probe prompts to an external provider; no ``probes``: the built-in ones."""

    every_s: float = 300.0
    probes: tuple[str, ...] = ()
    average_run_length: float = 10_000.0


@dataclass(frozen=True, slots=True)
class Serving:
    limits: Limits = Limits()
    caching: Caching = Caching()
    watching: Watching = Watching()


USUAL: Final = Serving()
