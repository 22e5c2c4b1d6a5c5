"""When engines are looked at, loaded, revived and let go."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Pace:
    """Seconds: between looks at an engine, until one that gives no sign of life is doubted, until
    it is then taken for hung, until one that is new is, before a failed load is tried again, of
    grace for requests under way before an engine is unloaded: ``sure_grace_s`` of it for those of
    other processes, which are not seen here; at most before one that died again within ``steady_s``
    is loaded.

    A model process that died refuses a probe at once; only one that hangs, or a machine that is
    very busy, needs patience. The first two together are below 5.
    """

    probe_every_s: float = 3.0
    sign_s: float = 1.5
    hung_s: float = 8.5
    probe_s: float = 30.0
    away_s: float = 2.0
    refused_s: float = 60.0
    grace_s: float = 60.0
    sure_grace_s: float = 0.0
    busy_poll_s: float = 0.1
    steady_s: float = 60.0
    revive_s: float = 15.0

    def before_revival_s(self, deaths: int) -> float:
        """After so many in a row: at once, then later and later."""
        return min(self.away_s * 2.0 ** min(deaths - 2, 9), self.revive_s) if deaths > 1 else 0.0
