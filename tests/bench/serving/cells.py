"""The cells, each a comparison that runs by itself."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from tests.bench.serving.event_cells import events
from tests.bench.serving.figures import Result
from tests.bench.serving.leaving_cells import leaving
from tests.bench.serving.memory_cells import crowd, engine_memory, memory
from tests.bench.serving.mock_cells import before_a_mock
from tests.bench.serving.rollout_cells import rollout
from tests.bench.serving.triton_cells import before_triton, frames
from tests.bench.serving.worker_cells import workers

Cell = Callable[[Path, int, float], list[Result]]

CELLS: Final[Mapping[str, Cell]] = {
    "mock": before_a_mock,
    "workers": workers,
    "triton": before_triton,
    "frames": frames,
    "events": events,
    "memory": memory,
    "crowd": crowd,
    "engine-memory": engine_memory,
    "leaving": leaving,
    "rollout": rollout,
}
