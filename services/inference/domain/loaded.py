"""Which engines answer here, and how busy each is."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from services.inference.domain.release import Table


def reusing(tables: Sequence[Table]) -> frozenset[str]:
    """Digests of the engines that may keep the beginnings of prompts: those of one application
    alone, which wants it. How soon another one is answered would tell what was asked before."""
    users: defaultdict[str, set[str]] = defaultdict(set)
    for table in tables:
        for release in table.releases:
            users[release.engine.digest].add(table.application)
    wanting = {table.application for table in tables if table.serving.caching.prefix}
    return frozenset(
        digest for digest, names in users.items() if len(names) == 1 and names <= wanting
    )


@dataclass(slots=True)
class LoadedEngines:
    """State of the engines by digest. Used from one event loop."""

    _ready: set[str] = field(default_factory=set)
    _doubted: set[str] = field(default_factory=set)
    _busy: Counter[str] = field(default_factory=Counter)
    _answered: Counter[str] = field(default_factory=Counter)

    def ready(self, digest: str) -> bool:
        return digest in self._ready

    def lively(self, digest: str) -> bool:
        """Ready, and not in doubt: one that is comes after its like."""
        return digest in self._ready and digest not in self._doubted

    def mark(self, digest: str, *, ready: bool) -> None:
        """What is sure; ends a doubt."""
        (self._ready.add if ready else self._ready.discard)(digest)
        self._doubted.discard(digest)

    def doubt(self, digest: str) -> None:
        """It is ready but gives no sign of life just now."""
        self._doubted.add(digest)

    def busy(self, digest: str) -> int:
        """Requests that it is answering now."""
        return self._busy[digest]

    def answered(self, digest: str) -> int:
        """Pieces of answers that it has given, ever: a sign of life that costs nothing."""
        return self._answered[digest]

    def count(self, digest: str) -> None:
        self._answered[digest] += 1

    @contextmanager
    def lease(self, digest: str) -> Iterator[None]:
        """Keeps the engine from being unloaded meanwhile."""
        self._busy[digest] += 1
        try:
            yield
        finally:
            self._busy[digest] -= 1
