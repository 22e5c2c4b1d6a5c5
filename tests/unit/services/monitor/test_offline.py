"""The detectors over a history: what is found, what is not, and what is refused."""

import io
import zipfile
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


def test_costs_are_watched_as_what_the_prompt_does_not_explain() -> None:
    dearer, other = history(3, "latency_ms"), history(4, "mix")
    for whole in (dearer, other):
        for ref in ("", "ref_"):
            whole[f"{ref}cost"] = whole.pop(f"{ref}latency_ms") / 1e5
    dearer["cost"][7] = 0

    first = offline.score(dearer).alarms[0]

    assert (first.signal, first.cause) == ("cost", "system")
    assert CHANGE <= first.t < CHANGE + 250
    assert first.change.startswith("Answers got dearer: ")
    assert {alarm.cause for alarm in offline.score(other).alarms} == {"input"}


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

    assert [one.name for one in verdict.watched] == ["latency", "missing_values"]
    assert verdict.alarms[0].cause == "system"


def test_a_reference_of_fifty_is_enough_for_every_signal() -> None:
    verdict = offline.score(history(21, "latency_ms", reference=50))

    assert verdict.unwatched == []
    assert {alarm.cause for alarm in verdict.alarms} == {"system"}


def rated(arrays: dict[str, NDArray[Any]], reference: int) -> dict[str, NDArray[Any]]:
    """Ratings on so many of the reference's events and half of the stream's, poor from 400 on."""
    found, random = dict(arrays), np.random.default_rng(4)
    for name, size, every in (("ref_feedback", 600, 600 // reference), ("feedback", STREAM, 2)):
        poor = np.where((np.arange(size) >= CHANGE) & (name == "feedback"), 0.8, 0.1)
        ratings = (random.random(size) > poor).astype(float)
        found[name] = np.where(np.arange(size) % every == every - 1, ratings, np.nan)
    return found


def test_rare_ratings_are_fitted_on_a_third_of_their_own() -> None:
    whole = rated(history(22), 30)
    del whole["emb"], whole["ref_emb"]

    verdict = offline.score(whole)

    [feedback] = [one for one in verdict.watched if one.name == "feedback"]
    assert feedback.reference <= 20
    assert {alarm.signal for alarm in verdict.alarms} == {"feedback"}


@pytest.mark.parametrize("name", ["logprob", "retrieval_score", "lang"])
def test_values_that_stop_arriving_ring_as_a_matter_of_the_data(name: str) -> None:
    whole = history(25)
    whole[name][CHANGE:] = "" if name == "lang" else np.nan

    verdict = offline.score(whole)

    assert {(alarm.signal, alarm.cause) for alarm in verdict.alarms} == {("missing_values", "data")}
    assert CHANGE <= verdict.alarms[0].t < CHANGE + 50
    missed = name.replace("lang", "language")
    assert f"came without {missed} (" in verdict.alarms[0].change.replace("mean_", "")


def test_ratings_that_become_rarer_are_said_and_no_alarm() -> None:
    whole = history(26)
    whole["feedback"][CHANGE:] = np.nan

    verdict = offline.score(whole)

    assert verdict.alarms == []
    assert "feedback: known in 72% of the reference, in 31% of the stream" in verdict.notes


def test_an_array_of_too_few_values_is_named_with_what_it_lacks() -> None:
    verdict = offline.score(rated(history(23), 20))

    assert verdict.unwatched == ["feedback"]
    assert "feedback not watched: 20 known values in the reference, 25 needed" in verdict.notes


def test_an_array_of_which_nothing_is_watched_refuses_with_the_reason() -> None:
    values = np.where(np.arange(600) < 9, 1.0, np.nan)

    with pytest.raises(Poison, match="latency not watched: 9 known values in the reference, 25"):
        offline.score({"ref_latency_ms": values, "latency_ms": values})


def test_words_that_only_the_first_events_know_are_said_to_be_too_few() -> None:
    whole = history(24)
    whole["ref_lang"] = np.where(np.arange(600) < 200, whole["ref_lang"], "")

    verdict = offline.score(whole)

    assert verdict.unwatched == ["language"]


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


def test_strata_without_reference_rows_are_not_watched_and_named() -> None:
    whole = history(12)
    whole["ref_stratum"] = np.where(np.arange(600) % 20 == 0, "night", "day")
    whole["stratum"] = np.where(np.arange(STREAM) % 3 == 0, "feast", "day")

    verdict = offline.score(whole)

    assert "strata not watched, too few reference rows: 'feast', 'night'" in verdict.notes
    assert max(one.events for one in verdict.watched) <= STREAM * 2 / 3
    whole["ref_stratum"] = np.arange(600) % 7
    with pytest.raises(Poison, match="nothing can be watched: strata not watched"):
        offline.score(whole)


@pytest.mark.parametrize(("share", "rings"), [(0.0, False), (0.5, True)])
def test_retries_within_an_episode_ring_as_a_matter_of_the_data(share: float, rings: bool) -> None:
    """Conversations of about three turns throughout; later a turn is often said again."""
    alone, random = history(15), np.random.default_rng(15)
    whole: dict[str, NDArray[Any]] = {}
    for prefix, size in (("ref_", 600), ("", STREAM)):
        turns = random.random(size) < 0.6
        again = np.flatnonzero(turns & (random.random(size) < (0.0 if prefix else share)))
        emb = alone[f"{prefix}emb"]
        for place in again[again > 0]:
            emb[place] = emb[place - 1]
        whole |= {f"{prefix}emb": emb, f"{prefix}episode": np.cumsum(~turns)}

    alarms = [(alarm.signal, alarm.cause) for alarm in offline.score(whole).alarms]

    assert set(alarms) == ({("duplicates", "data")} if rings else set())


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
        (history(1) | {"emb": np.zeros((STREAM, 24), np.float16)}, "'emb' holds zeros only"),
        (history(1) | {"length": np.ones(7)}, "'length' has 7 rows"),
        (history(1) | {"length": np.full(STREAM, -1.0)}, "'length' holds values below 0"),
        (history(1) | {"logprob": np.full(STREAM, "x")}, "'logprob' is <U1, not numbers"),
        (history(1) | {"latency_ms": np.full(STREAM, np.inf)}, "'latency_ms' holds inf"),
        (history(1) | {"logprob": np.full(STREAM, 1e300)}, "'logprob' holds inf or its like"),
        (history(1) | {"ref_emb": np.full((600, 24), 1e300)}, "'ref_emb': 600 rows hold nan, inf"),
        (history(1) | {"emb": np.full((STREAM, 24), np.float32(1e30))}, "900 rows hold nan, inf"),
        (history(1) | {"lang": np.full(STREAM, b"\xff")}, "'lang' holds bytes that are no UTF-8"),
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
    pa.csv.write_csv(as_table(arrays, True), tmp_path / "h.CSV")
    pa.parquet.write_table(as_table(arrays, False), tmp_path / "h.parquet")

    found = [
        [alarm.t for alarm in offline.score(files.read(tmp_path / name).arrays).alarms]
        for name in ("h.npz", "h.CSV", "h.parquet")
    ]

    assert found[0]
    assert found[0] == found[1] == found[2]


@pytest.mark.parametrize("suffix", ["npz", "csv", "parquet"])
def test_names_that_nothing_is_made_of_are_told_with_what_may_be_meant(
    tmp_path: Path, suffix: str
) -> None:
    arrays = history(14)
    for ref in ("", "ref_"):
        arrays[f"{ref}latencyms"] = arrays.pop(f"{ref}latency_ms")
        arrays[f"{ref}latencies_ms"] = arrays[f"{ref}user_id"] = arrays[f"{ref}latencyms"]
        arrays[f"{ref}length_s"] = arrays[f"{ref}length"]
    path = tmp_path / f"h.{suffix}"
    match suffix:
        case "npz":
            np.savez(path, **arrays)  # type: ignore[arg-type]  # arrays by name
        case "csv":
            pa.csv.write_csv(as_table(arrays, True), path)
        case "parquet":
            pa.parquet.write_table(as_table(arrays, True), path)

    assert files.read(path).notes == [
        "'latencyms' is not watched; did you mean 'latency_ms'?",
        "'latencies_ms' is not watched; did you mean 'latency_ms'?",
        "not watched, of unknown names: 'user_id', 'length_s'",
    ]


def test_of_many_unknown_names_some_are_shown() -> None:
    many = files.History({}, tuple(f"x{number}" for number in range(12)))

    assert many.notes[0].endswith("'x8', 'x9', 2 more")
    assert files.History({}, ()).notes == []


def npy(array: NDArray[Any]) -> bytes:
    found = io.BytesIO()
    np.save(found, array)
    return found.getvalue()


def npz(member: bytes, damaged: bool = False) -> bytes:
    """An archive of one member, ``emb.npy``."""
    found = io.BytesIO()
    with zipfile.ZipFile(found, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("emb.npy", member)
    middle = 60 if damaged else 0
    whole = found.getvalue()
    return whole[:middle] + b"\xff" * (30 if damaged else 0) + whole[middle + 30 * damaged :]


def csv(**columns: Any) -> bytes:
    found = io.BytesIO()
    pa.csv.write_csv(pa.table(columns), found)
    return found.getvalue()


def parquet(**columns: Any) -> bytes:
    found = io.BytesIO()
    pa.parquet.write_table(pa.table(columns), found)
    return found.getvalue()


ROWS = np.ones((900, 24), np.float32)
HUGE = npy(ROWS).replace(b"(900, 24), }".ljust(40), b"(100000000000000, 24), }".ljust(40))
MARKS = {"reference": [True, False]}


@pytest.mark.parametrize(
    ("name", "written", "said"),
    [
        ("bad.npz", b"not a zip", "cannot be read"),
        ("objects.npz", npz(npy(np.array(["en", None]))), "'emb' holds Python objects"),
        ("huge.npz", npz(HUGE), "'emb' is cut short: .100000000000000, 24. do not fit"),
        ("short.npz", npz(npy(ROWS)[:-99]), "'emb' cannot be read"),
        ("shorter.npz", npz(npy(ROWS)[:-9999]), "'emb' is cut short"),
        ("header.npz", npz(npy(ROWS)[:20]), "'emb' cannot be read"),
        ("damaged.npz", npz(np.random.default_rng(1).bytes(999), damaged=True), "cannot be read"),
        ("noarray.npz", npz(b"hello"), "'emb' cannot be read"),
        ("no.csv", csv(length=[1, 2]), "'reference' is missing"),
        ("from_one.csv", csv(**MARKS, emb_1=[1, 2], emb_2=[1, 2]), "'emb_0' is missing"),
        ("number.parquet", parquet(**MARKS, emb=[1, 2]), "'emb' must hold lists of numbers"),
        ("uneven.parquet", parquet(**MARKS, emb=[[1], [1, 2]]), "list of the same length"),
        ("bad.parquet", b"PAR1" * 9, "cannot be read"),
        ("a.txt", b"", "want .npz"),
    ],
)
def test_a_file_that_is_no_history_is_refused(
    tmp_path: Path, name: str, written: bytes, said: str
) -> None:
    (tmp_path / name).write_bytes(written)

    with pytest.raises(Poison, match=said) as refused:
        files.read(tmp_path / name)

    assert refused.value.code == "bad_history"


def test_a_table_that_is_too_large_is_refused_before_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = parquet(reference=[True] * 50_000, length=[1] * 50_000)
    (tmp_path / "h.parquet").write_bytes(small)
    monkeypatch.setattr(files, "MOST_BYTES", 100_000)

    assert len(small) < 100_000
    with pytest.raises(Poison, match="unpacks to more"):
        files.read(tmp_path / "h.parquet")
