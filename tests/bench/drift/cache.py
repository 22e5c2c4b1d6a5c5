"""What a run leaves under ``.perennial/bench/drift``: pools once, then a file for each run."""

import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final

import numpy as np

from tests.bench.drift.streams import Pools

HOME: Final = Path(".perennial/bench/drift")
FORM: Final = "1"
"""Of the streams: another one makes every run anew."""

Record = tuple[int, float]


@dataclass(slots=True)
class Run:
    """One system over one stream.

    Fields:
        events: watched; change: the first changed one among them.
        alarms: events at which it rang, heard on after each.
        records: the times at which its statistic (natural log; ARL units) was highest so far,
            where nothing rings and restarts; () for a system without a threshold to turn.
        fit_s, watch_s: seconds; state: bytes, 0 when unknown.
    """

    events: int
    change: int | None
    alarms: list[int] = field(default_factory=list)
    records: list[Record] = field(default_factory=list)
    fit_s: float = 0.0
    watch_s: float = 0.0
    state: int = 0


def path(system: str, scenario: str, seed: int) -> Path:
    return HOME / f"runs-{FORM}" / system / f"{scenario}-{seed}.json"


def keep(system: str, scenario: str, seed: int, run: Run) -> None:
    target = path(system, scenario, seed)
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_suffix(".partial")
    partial.write_text(json.dumps(asdict(run)))
    partial.replace(target)


def kept(system: str) -> dict[str, dict[int, Run]]:
    """All runs of a system by scenario and seed."""
    found: dict[str, dict[int, Run]] = {}
    for file in sorted((HOME / f"runs-{FORM}" / system).glob("*.json")):
        scenario, _, seed = file.stem.rpartition("-")
        values = json.loads(file.read_text())
        values["records"] = [(int(at), float(value)) for at, value in values["records"]]
        found.setdefault(scenario, {})[int(seed)] = Run(**values)
    return found


def pools() -> Pools:
    texts: dict[str, list[str]] = json.loads((HOME / "texts.json").read_text())
    vectors, words, spans, start = [], [], {}, 0
    with np.load(HOME / "embedded.npz", allow_pickle=False) as embedded:
        for name, rows in texts.items():
            full = embedded[name].astype(np.float32)
            vectors.append(full / np.linalg.norm(full, axis=1, keepdims=True))
            words += [float(len(text.split())) for text in rows]
            spans[name] = (start, start + len(rows))
            start += len(rows)
    return Pools(np.concatenate(vectors), np.array(words), spans)


def records(path_of: Sequence[Record]) -> list[Record]:
    """The running maximum of a path of (event, statistic), where it grows."""
    found: list[Record] = []
    for at, value in path_of:
        if np.isfinite(value) and (not found or value > found[-1][1]):
            found.append((at, value))
    return found


class Stopwatch:
    """Seconds of this process's processor since it was made or asked."""

    def __init__(self) -> None:
        self._since = time.process_time()

    def lap(self) -> float:
        now = time.process_time()
        elapsed, self._since = now - self._since, now
        return elapsed
