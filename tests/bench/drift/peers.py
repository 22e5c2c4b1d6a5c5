"""The systems beside ours, from their own packages, at their defaults where they have any."""

import contextlib
import io

import numpy as np

from services.monitor.domain.partition import fit_embedding, unit
from tests.bench.drift.cache import Run, Stopwatch
from tests.bench.drift.streams import REFERENCE, Scenario, Stream

WINDOW = 100
FIT_ROWS = 500
MMD_REFERENCE = 400
MMD_RUN_LENGTH = 2000
MMD_QUIET = 6000
MMD_AFTER = 2500
WINDOWS = 20
"""Windows of 100 events that the slow test per window sees: quiet ones, or after the change."""


def adwin(stream: Stream, scenario: Scenario, seed: int) -> Run:
    """river ADWIN, delta = 0.002, on the number that should move: the distance to the nearest
    reference rows, log length, log-probability, or being in another language."""
    from river.drift import ADWIN

    watch = Stopwatch()
    if scenario.about == "embedding":
        cells = fit_embedding(unit(stream.vectors[:FIT_ROWS]), seed)
        scores = cells.distances(unit(stream.vectors[FIT_ROWS:]))
    elif scenario.about == "length":
        scores = np.log(stream.length[FIT_ROWS:])
    elif scenario.about == "language":
        scores = stream.language[FIT_ROWS:].astype(float)
    else:
        scores = stream.logprob[FIT_ROWS:]
    found, alarms = ADWIN(delta=0.002), []
    for place, score in enumerate(scores.tolist(), start=FIT_ROWS - REFERENCE + 1):
        found.update(score)
        if found.drift_detected and place > 0:
            alarms.append(place)
    return Run(len(stream.vectors) - REFERENCE, stream.change, alarms, watch_s=watch.lap())


class Mmd:
    """alibi-detect MMDDriftOnline, expected run time 2,000, 400 reference rows, window 100; one
    configuration for each seed, as its reference is the same in every scenario."""

    def __init__(self, stream: Stream) -> None:
        import torch
        from alibi_detect.cd import MMDDriftOnline

        torch.set_num_threads(1)
        watch = Stopwatch()
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            self._detector = MMDDriftOnline(
                stream.vectors[:MMD_REFERENCE],
                ert=MMD_RUN_LENGTH,
                window_size=WINDOW,
                backend="pytorch",
                n_bootstraps=2200,
                verbose=False,
            )
        self._fit_s = watch.lap()

    def run(self, stream: Stream) -> Run:
        """Heard to the first alarm after the change, at most 2,500 events."""
        last = MMD_QUIET if stream.change is None else stream.change + MMD_AFTER
        events = stream.vectors[REFERENCE : REFERENCE + last]
        self._detector.reset_state()
        watch, alarms, at = Stopwatch(), [], 0
        for at, event in enumerate(events, start=1):
            if self._detector.predict(event)["data"]["is_drift"]:
                alarms.append(at)
                self._detector.reset_state()
                if stream.change is not None and at > stream.change:
                    break
        state = 4 * (MMD_REFERENCE**2 + MMD_REFERENCE * stream.vectors.shape[1])
        return Run(at, stream.change, alarms, fit_s=self._fit_s, watch_s=watch.lap(), state=state)


def evidently(stream: Stream) -> Run:
    """Evidently's default test of embeddings (a classifier of window against reference), window
    after window; its drawing of the two, which takes longer than the test, is left out."""
    import pandas as pd
    from evidently.legacy.metrics.data_drift.embedding_drift_methods import model

    reference = pd.DataFrame(stream.vectors[:REFERENCE])
    test = model(bootstrap=len(reference) < 1000)
    first = REFERENCE + (stream.change or 0)
    watch, alarms = Stopwatch(), []
    for number in range(WINDOWS):
        start = first + number * WINDOW
        window = pd.DataFrame(stream.vectors[start : start + WINDOW])
        if test(window, reference)[1]:
            alarms.append((number + 1) * WINDOW)
    state = stream.vectors[:REFERENCE].nbytes
    return Run(WINDOWS * WINDOW, 0 if stream.change else None, alarms, [], 0.0, watch.lap(), state)


def evidently_report(stream: Stream) -> Run:
    """One window as its users run it: the metric with its drawing."""
    import pandas as pd
    from evidently.legacy.metrics import EmbeddingsDriftMetric
    from evidently.legacy.pipeline.column_mapping import ColumnMapping
    from evidently.legacy.report import Report

    columns = [f"e{place}" for place in range(stream.vectors.shape[1])]
    reference = pd.DataFrame(stream.vectors[:REFERENCE], columns=columns)
    window = pd.DataFrame(stream.vectors[REFERENCE : REFERENCE + WINDOW], columns=columns)
    report, watch = Report(metrics=[EmbeddingsDriftMetric("prompt")]), Stopwatch()
    mapping = ColumnMapping(embeddings={"prompt": columns})
    report.run(reference_data=reference, current_data=window, column_mapping=mapping)
    report.as_dict()
    return Run(WINDOW, None, [], [], 0.0, watch.lap(), 0)
