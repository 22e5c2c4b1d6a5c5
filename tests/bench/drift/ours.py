"""Perennial's detectors: the whole monitor as ``perennial drift score`` runs it, and the
statistics of the embedding's detectors, so that thresholds can be turned afterwards."""

import math

import numpy as np

from services.monitor.adapters import blob
from services.monitor.domain.detector import BLOCK
from services.monitor.domain.fitting import Fit, Table, fit
from services.monitor.domain.gathering import FIT_ROWS
from services.monitor.domain.panel import Calibration, Strata, panel
from services.monitor.domain.part import Part
from services.monitor.domain.partition import Vectors, unit
from services.monitor.domain.scoring import score
from services.monitor.domain.signal import Signal
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
    """Statistics of the embedding's signal as the monitor makes it, of its partitions alone and of
    its kernel alone, natural logs in events: P(it reaches log(A) within T events) <= T / A. After
    the change it stops early."""
    reference, events = unit(stream.vectors[:REFERENCE]), stream.vectors[REFERENCE:]
    watch = Stopwatch()
    known = fit(_table(reference[:FIT_ROWS]), seed, natural=True)
    alone = _signal(known, reference[FIT_ROWS:], seed, learned=False)
    fitted = watch.lap()
    whole = _signal(known, reference[FIT_ROWS:], seed, learned=True)
    kernel_fitted = watch.lap()

    values: list[tuple[int, list[float]]] = []
    cells = np.concatenate([known.assign(_table(unit(part))) for part in _chunks(events)], axis=1)
    per_event = watch.lap() / len(events)
    spent = [0.0, 0.0]
    strata = np.zeros(BLOCK, np.int64)
    for start in range(0, len(events) - BLOCK + 1, BLOCK):
        block = cells[:, start : start + BLOCK]
        watch.lap()
        alone.watch(block, strata)
        spent[0] += watch.lap() + BLOCK * per_event
        whole.watch(block, strata, unit(events[start : start + BLOCK]))
        spent[1] += watch.lap() + BLOCK * per_event
        learned = max(0.0, whole.learned.log_statistic if whole.learned else 0.0)
        now = [value + math.log(BLOCK) for value in (alone.statistic, learned, whole.statistic)]
        values.append((start + BLOCK, now))
        if stream.change and start > stream.change and min(now) > ENOUGH:
            break
    shared = len(blob.freeze(known.embedding))
    sizes = (
        shared + len(blob.freeze(alone)),
        len(blob.freeze(whole.learned)),
        shared + len(blob.freeze(whole)),
    )
    seconds = (spent[0], spent[1] - spent[0], spent[1])
    fits = (fitted, kernel_fitted, fitted + kernel_fitted)
    return {
        name: Run(
            events=values[-1][0],
            change=stream.change,
            records=records([(at, now[place]) for at, now in values]),
            fit_s=fits[place],
            watch_s=seconds[place],
            state=sizes[place],
        )
        for place, name in enumerate(("partition", "kernel", "embedding"))
    }


def _table(vectors: Vectors) -> Table:
    """Embeddings and nothing else."""
    return Table(vectors, {"length": np.full(len(vectors), np.nan)}, {}, [""] * len(vectors))


def _signal(known: Fit, calibration: Vectors, seed: int, *, learned: bool) -> Signal:
    """The embedding's, that nothing makes ring."""
    none = np.zeros((0, 0), np.int64)
    reference = Calibration(
        cells=known.assign(_table(calibration)),
        strata=np.zeros(len(calibration), np.int64),
        tables=Strata(),
        labels=[[]] * len(calibration),
        intake=none,
        intake_strata=none[:0],
        reasons=(),
        vectors=calibration if learned else None,
    )
    return panel(known, reference, math.inf, seed, conditional=False).signals[0]


def _chunks(events: Vectors) -> list[Vectors]:
    return [events[start : start + CHUNK] for start in range(0, len(events), CHUNK)]
