"""Memory for one more engine: of the machine, and of the control group that we run in."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import psutil

from libs.faults import Poison
from services.inference.domain.release import TENSORRT_LLM, Engine

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


def resident_bytes(model_name: str) -> int:
    """Of the processes that run the model; 0 where they cannot be seen from here."""
    sizes = [
        process.info["memory_info"].rss
        for process in psutil.process_iter(["cmdline", "memory_info"])
        if process.info["memory_info"]
        and any(model_name in part for part in process.info["cmdline"] or ())
    ]
    return sum(sizes)


def _none() -> Sequence[Engine]:
    return ()


@dataclass(slots=True)
class Room:
    """Of one machine, for all Tritons on it. ``reserve_bytes`` stay free for everything else.

    ``loaded``: the engines that answer, once for each Triton. What one of them has not touched
    of its cache yet looks free, and is not.
    """

    cache_bytes: int
    reserve_bytes: int
    available: Callable[[], int] = available_bytes
    loaded: Callable[[], Sequence[Engine]] = _none
    resident: Callable[[str], int] = resident_bytes
    _loading: int = 0
    _counting: asyncio.Lock = field(default_factory=asyncio.Lock)

    def need(self, engine: Engine) -> int:
        """An estimate, in bytes."""
        weights = int(engine.weights.size_bytes * WEIGHTS_FACTOR)
        return weights + self._cache(engine) + PROCESS_BYTES

    @asynccontextmanager
    async def taken(self, engine: Engine) -> AsyncIterator[None]:
        """Holds the room while ``engine`` is loading.

        Raises:
            Poison: ``no_memory``, it does not fit beside what is loaded and what is loading.
        """
        need = self.need(engine)
        async with self._counting:
            free = await asyncio.to_thread(self._free, self.loaded())
            if need > free:
                raise Poison(
                    f"needs {need / GIB:.1f} GiB of memory, {max(free, 0) / GIB:.1f} GiB are free",
                    code="no_memory",
                )
            self._loading += need
        try:
            yield
        finally:
            self._loading -= need

    def _free(self, loaded: Sequence[Engine]) -> int:
        untouched = sum(self._untouched(*each) for each in Counter(loaded).items())
        return self.available() - self.reserve_bytes - self._loading - untouched

    def _untouched(self, engine: Engine, copies: int) -> int:
        left = copies * self.need(engine) - self.resident(engine.model_name)
        return min(max(left, 0), copies * self._cache(engine))

    def _cache(self, engine: Engine) -> int:
        """TensorRT-LLM's is memory of the GPU, which its own settings bound."""
        return 0 if engine.runtime == TENSORRT_LLM else self.cache_bytes
