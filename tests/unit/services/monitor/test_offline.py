"""The detectors over a history: what is found, what is not, and what is refused."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pytest
from numpy.typing import NDArray

from libs.faults import Poison
from services.monitor import offline
from services.monitor.adapters import history as files

from .history import CHANGE, STREAM, history


@pytest.mark.parametrize("seed", range(2))
def test_a_history_without_a_change_has_no_alarm(seed: int) -> None:
    assert offline.score(history(seed)).alarms == []


@pytest.mark.parametrize(
    ("change", "cause"),
    [
        ("emb", "input"),
        ("length", "input"),
        ("lang", "input"),
        ("logprob", "behaviour"),
        ("feedback", "behaviour"),
        ("latency_ms", "system"),
        ("retrieval_score", "retrieval"),
        ("guard_block", "guard"),
    ],
)
def test_a_change_of_one_array_is_found_soon_and_named(change: str, cause: str) -> None:
    first = offline.score(history(3, change)).alarms[0]

    assert first.cause == cause
    assert CHANGE <= first.t < CHANGE + 250


def test_a_new_mix_of_known_topics_is_no_change_of_behaviour() -> None:
    """Ratings, log-probabilities and latencies all depend on the topic."""
    causes = {alarm.cause for alarm in offline.score(history(4, "mix")).alarms}

    assert causes == {"input"}


def test_a_change_that_stays_rings_again_after_each_restart() -> None:
    found = [alarm.t for alarm in offline.score(history(5, "emb")).alarms]

    assert len(found) > 5
    assert found == sorted(found)


def test_the_findings_are_what_the_command_prints() -> None:
    [first, *_] = offline.findings(offline.score(history(6, "guard_block")))

    assert set(first) == {"t", "signal", "statistic", "threshold", "cause"}
    assert first["statistic"] >= first["threshold"]


def test_the_same_history_gives_the_same_alarms() -> None:
    assert offline.score(history(7, "emb")) == offline.score(history(7, "emb"))


def test_one_pair_of_arrays_is_enough() -> None:
    whole = history(8, "latency_ms")
    alone = {name: whole[name] for name in ("latency_ms", "ref_latency_ms")}

    verdict = offline.score(alone)

    assert [one.name for one in verdict.watched] == ["latency"]
    assert verdict.alarms[0].cause == "system"


def repeated(arrays: dict[str, NDArray[Any]], times: int) -> dict[str, NDArray[Any]]:
    return {name: np.repeat(values, times, axis=0) for name, values in arrays.items()}


def test_bursts_of_near_copies_are_left_out_and_said() -> None:
    verdict = offline.score(repeated(history(9), 6))

    assert verdict.alarms == []
    assert f"stream: {STREAM * 5} near copies left out" in verdict.notes


def test_one_event_of_an_episode_counts() -> None:
    whole = history(10)
    whole["episode"], whole["ref_episode"] = np.arange(STREAM), np.arange(600)
    shuffled = repeated(whole, 3)
    noise = np.random.default_rng(1).normal(size=shuffled["emb"].shape)
    shuffled["emb"] = (shuffled["emb"] + noise).astype(np.float16)

    verdict = offline.score(shuffled)

    assert f"stream: {STREAM * 2} events of an episode seen before" in verdict.notes


def sticky(seed: int, size: int) -> NDArray[np.float16]:
    """Topics that change with every twelfth event."""
    random = np.random.default_rng(seed)
    runs = np.cumsum(random.random(size) < 1 / 12)
    centres = np.random.default_rng(7).normal(size=(6, 24))
    noisy = centres[random.integers(6, size=size)[runs]] + 0.7 * random.normal(size=(size, 24))
    return np.asarray(noisy, np.float16)


def test_topics_that_stick_are_thinned_by_their_correlation_length() -> None:
    verdict = offline.score({"ref_emb": sticky(1, 1_500), "emb": sticky(2, 2_000)})

    [embedding] = [one for one in verdict.watched if one.name == "prompt_embedding"]
    assert embedding.every > 5
    assert verdict.alarms == []


def test_a_reference_too_short_for_its_stickiness_is_said_and_nothing_rings() -> None:
    verdict = offline.score({"ref_emb": sticky(1, 200), "emb": sticky(2, 2_000)})

    assert "prompt_embedding: too small a reference" in verdict.notes
    assert verdict.alarms == []


def test_a_thin_stratum_is_pooled_and_said() -> None:
    whole = history(12)
    whole["ref_stratum"] = np.where(np.arange(600) % 20 == 0, "night", "day")
    whole["stratum"] = np.full(STREAM, "day")

    assert "stratum 'night' is pooled: too few rows" in offline.score(whole).notes


def without(name: str) -> dict[str, NDArray[Any]]:
    return {key: values for key, values in history(13).items() if key != name}


@pytest.mark.parametrize(
    ("arrays", "said"),
    [
        (without("ref_logprob"), "'logprob' has no twin 'ref_logprob'"),
        (without("emb"), "'ref_emb' has no twin 'emb'"),
        (history(1) | {"emb": np.ones(STREAM)}, "'emb' has shape"),
        (history(1) | {"emb": np.ones((STREAM, 5))}, "5 and 24 dimensions"),
        (history(1) | {"emb": np.full((STREAM, 24), np.nan)}, "'emb': 900 rows hold nan"),
        (history(1) | {"length": np.ones(7)}, "'length' has 7 rows"),
        (history(1) | {"length": np.full(STREAM, -1.0)}, "'length' holds values below 0"),
        (history(1) | {"logprob": np.full(STREAM, "x")}, "'logprob' is <U1, not numbers"),
        (history(1) | {"latency_ms": np.full(STREAM, np.inf)}, "'latency_ms' holds inf"),
        (history(1, reference=20), "20 independent reference events"),
        ({}, "no array to watch"),
        ({"stratum": np.ones(9), "ref_stratum": np.ones(9)}, "no array to watch"),
    ],
)
def test_a_wrong_array_is_named_with_what_to_do(arrays: dict[str, NDArray[Any]], said: str) -> None:
    with pytest.raises(Poison, match=said):
        offline.score(arrays)


def test_the_run_length_must_be_possible() -> None:
    with pytest.raises(Poison, match="--arl"):
        offline.score(history(1), float("nan"))


def as_table(arrays: dict[str, NDArray[Any]], split: bool) -> pa.Table:
    columns: dict[str, Any] = {"reference": [True] * 600 + [False] * STREAM}
    for name in (name for name in arrays if not name.startswith("ref_")):
        both = np.concatenate([arrays[f"ref_{name}"], arrays[name]])
        if name != "emb":
            columns[name] = both
        elif split:
            columns |= {f"emb_{place}": both[:, place].astype(float) for place in range(24)}
        else:
            columns[name] = [row.astype(float).tolist() for row in both]
    return pa.table(columns)


def test_csv_and_parquet_say_what_the_arrays_say(tmp_path: Path) -> None:
    arrays = history(14, "emb")
    np.savez(tmp_path / "h.npz", **arrays)  # type: ignore[arg-type]  # arrays by name
    pa.csv.write_csv(as_table(arrays, True), tmp_path / "h.csv")
    pa.parquet.write_table(as_table(arrays, False), tmp_path / "h.parquet")

    found = [
        [alarm.t for alarm in offline.score(files.read(tmp_path / name)).alarms]
        for name in ("h.npz", "h.csv", "h.parquet")
    ]

    assert found[0]
    assert found[0] == found[1] == found[2]


def test_files_that_are_no_history_are_refused(tmp_path: Path) -> None:
    (tmp_path / "bad.npz").write_bytes(b"not a zip")
    np.savez(tmp_path / "objects.npz", lang=np.array(["en", None], dtype=object))
    pa.csv.write_csv(pa.table({"length": [1, 2]}), tmp_path / "no.csv")

    for name, said in (
        ("bad.npz", "cannot be read"),
        ("objects.npz", "'lang' holds Python objects"),
        ("no.csv", "'reference' is missing"),
        ("absent.npz", "cannot be read"),
        ("a.txt", "want .npz"),
    ):
        with pytest.raises(Poison, match=said):
            files.read(tmp_path / name)
