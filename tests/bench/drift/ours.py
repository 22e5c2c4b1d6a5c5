"""Perennial's detectors: the whole monitor as ``perennial drift score`` runs it, and the
statistics of the embedding's detectors, so that thresholds can be turned afterwards."""

import math

import numpy as np

from services.monitor.adapters import blob
from services.monitor.domain.detector import BLOCK, PartitionCTM, detector, settle
from services.monitor.domain.kernel import kernel_detector
from services.monitor.domain.partition import (
    Cells,
    EmbeddingCells,
    Vectors,
    fit_embedding,
    unit,
)
from services.monitor.domain.scoring import Part, score
from services.monitor.domain.watch import FIT_ROWS
from tests.bench.drift.cache import Run, Stopwatch, records
from tests.bench.drift.streams import REFERENCE, Scenario, Stream

ENOUGH = math.log(1e6)
CHUNK = 4096


def monitor(stream: Stream, scenario: Scenario, average_run_length: float, seed: int) -> Run:
    """Every signal; of a stream without a daily cycle the time of day is not told."""
    seasonal = scenario.rhythm == "seasonal"
    parts = [
        Part(
            vectors=stream.vectors[rows],
            numbers={"length": np.log(stream.length[rows]), "mean_logprob": stream.logprob[rows]},
            words={"language": ["other" if one else "en" for one in stream.language[rows]]},
            episodes=stream.episode[rows],
            strata=[str(part) if seasonal else "" for part in stream.stratum[rows]],
        )
        for rows in (slice(0, REFERENCE), slice(REFERENCE, None))
    ]
    watch = Stopwatch()
    verdict = score(parts[0], parts[1], average_run_length, seed)
    alarms = sorted({alarm.t + 1 for alarm in verdict.alarms})
    return Run(len(parts[1]), stream.change, alarms, watch_s=watch.lap())


def curves(stream: Stream, seed: int) -> dict[str, Run]:
    """Statistics of the two partitions, of the kernel and of the three as one signal, natural
    logs in events: a threshold of log(ARL) promises ARL. After the change it stops early."""
    reference, events = stream.vectors[:REFERENCE], stream.vectors[REFERENCE:]
    fit, calibration = unit(reference[:FIT_ROWS]), unit(reference[FIT_ROWS:])
    watch = Stopwatch()
    cells = fit_embedding(fit, seed)
    partitions = [detector(len(cells.centres), False, seed), detector(8, True, seed + 1)]
    one = np.zeros(len(calibration), np.int64)
    for found, rows in zip(partitions, _cells(cells, calibration), strict=True):
        found.calibrate(rows, one)
    fitted = watch.lap()
    kernel = kernel_detector(fit, calibration, seed)
    kernel_fitted = watch.lap()

    values: list[tuple[int, float, float]] = []
    watch.lap()
    known = np.concatenate([_cells(cells, unit(part)) for part in _chunks(events)], axis=1)
    per_event = watch.lap() / len(events)
    spent = [0.0, 0.0]
    for start in range(0, len(events) - BLOCK + 1, BLOCK):
        watch.lap()
        partition = _settle(partitions, known[:, start : start + BLOCK])
        spent[0] += watch.lap() + BLOCK * per_event
        kernel.update(unit(events[start : start + BLOCK]))
        values.append((start + BLOCK, partition, kernel.log_statistic + math.log(BLOCK)))
        spent[1] += watch.lap()
        if stream.change and start > stream.change and min(values[-1][1:]) > ENOUGH:
            break
    states = [len(blob.freeze(cells)) + sum(len(blob.freeze(p)) for p in partitions)]
    states.append(len(blob.freeze(kernel)))
    made: dict[str, list[tuple[int, float]]] = {"partition": [], "kernel": [], "embedding": []}
    for at, partition, learned in values:
        made["partition"].append((at, partition))
        made["kernel"].append((at, learned))
        made["embedding"].append((at, max(partition, learned) - math.log(2)))
    seconds = {"partition": spent[0], "kernel": spent[1], "embedding": sum(spent)}
    sizes = {"partition": states[0], "kernel": states[1], "embedding": sum(states)}
    fits = {"partition": fitted, "kernel": kernel_fitted, "embedding": fitted + kernel_fitted}
    return {
        name: Run(
            values[-1][0], stream.change, [], records(rows), fits[name], seconds[name], sizes[name]
        )
        for name, rows in made.items()
    }


def _chunks(events: Vectors) -> list[Vectors]:
    return [events[start : start + CHUNK] for start in range(0, len(events), CHUNK)]


def _cells(cells: EmbeddingCells, vectors: Vectors) -> Cells:
    """``(2, n)``: cluster and bin of the distance."""
    return np.array([cells.clusters(vectors), cells.bins(cells.distances(vectors))])


def _settle(partitions: list[PartitionCTM], rows: Cells) -> float:
    """The two channels as one signal, natural log in events."""
    settle(partitions, rows, np.zeros_like(rows))
    values = [found.statistic() for found in partitions]
    return max(values) + math.log(BLOCK) - math.log(len(partitions))
