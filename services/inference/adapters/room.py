"""Memory for one more engine: of the machine, and of the control group that we run in."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import psutil

from libs.faults import Poison
from services.inference.domain.release import Engine

GROUPS: Final = Path("/sys/fs/cgroup")
WEIGHTS_FACTOR: Final = 1.3
"""Of the file's size: the runtime keeps the weights in its own layout."""
PROCESS_BYTES: Final = 256 * 1024 * 1024
"""Of the model's process, besides weights and cache."""
GIB: Final = 1024**3


def available_bytes(groups: Path = GROUPS) -> int:
    """What can still be taken without swapping or being killed."""
    left = [psutil.virtual_memory().available]
    for limit, usage, stat in (
        ("memory.max", "memory.current", "memory.stat"),
        ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes", "memory/memory.stat"),
    ):
        try:
            most = (groups / limit).read_text().strip()
            used = int((groups / usage).read_text())
            counts = dict(line.split() for line in (groups / stat).read_text().splitlines())
        except (OSError, ValueError):
            continue
        if most != "max":
            reclaimable = int(counts.get("total_inactive_file", counts.get("inactive_file", 0)))
            left.append(int(most) - used + reclaimable)
    return min(left)


@dataclass(slots=True)
class Room:
    """``reserve_bytes`` stay free for everything else."""

    cache_bytes: int
    reserve_bytes: int
    available: Callable[[], int] = available_bytes
    _loading: dict[str, int] = field(default_factory=dict)

    def need(self, engine: Engine) -> int:
        """An estimate, in bytes."""
        return int(engine.weights.size_bytes * WEIGHTS_FACTOR) + self.cache_bytes + PROCESS_BYTES

    @contextmanager
    def taken(self, engine: Engine) -> Iterator[None]:
        """Holds the room while ``engine`` is loading.

        Raises:
            Poison: ``no_memory``, it does not fit beside what is loaded and what is loading.
        """
        need = self.need(engine)
        free = self.available() - self.reserve_bytes - sum(self._loading.values())
        if need > free:
            raise Poison(
                f"needs {need / GIB:.1f} GiB of memory, {max(free, 0) / GIB:.1f} GiB are free",
                code="no_memory",
            )
        self._loading[engine.digest] = need
        try:
            yield
        finally:
            del self._loading[engine.digest]
