"""`perennial drift score`: the detectors over a history that is already there.

A door without a network: arrays in, alarms and a report out; nothing is stored.
"""

import hashlib
from collections.abc import Mapping
from typing import Any, Final, TypedDict

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from libs.faults import Poison
from services.monitor.adapters.history import CODE, MOST_COLUMNS, NAMES
from services.monitor.domain.part import Part
from services.monitor.domain.scoring import CHUNK, TooFew, Verdict
from services.monitor.domain.scoring import score as scored

NUMBERS: Final = {
    "logprob": "mean_logprob",
    "retrieval_score": "retrieval_score",
    "feedback": "feedback",
}
VERDICTS: Final = {"0": "allow", "1": "block"}
LEAST_RUN_LENGTH: Final = 20.0
LARGEST: Final = 1e30


class Finding(TypedDict):
    """One alarm. ``t``: index of the event into the stream's arrays; statistic and threshold:
    natural logs."""

    t: int
    signal: str
    statistic: float
    threshold: float
    cause: str


def score(arrays: Mapping[str, NDArray[Any]], average_run_length: float = 10_000.0) -> Verdict:
    """Every alarm in the order of the stream; each signal restarts after its alarm.

    The draws' seed follows from the names and sizes of the arrays: the same file gives the
    same alarms.

    Args:
        arrays: any of ``emb`` (``(n, d)``, finite), ``length`` (characters or tokens), ``lang``,
            ``logprob`` (nats per token), ``latency_ms``, ``cost`` (any currency),
            ``retrieval_score``, ``guard_block``, ``feedback`` (``(n,)``, nan where there is none),
            ``episode`` and ``stratum``, in time order; each with its twin ``ref_...`` of the
            reference.
        average_run_length: events to a false alarm, at least, over all signals.
    Raises:
        Poison: ``bad_history``: which array is wrong, and what to do.
    """
    if not average_run_length >= LEAST_RUN_LENGTH:
        raise Poison(f"--arl must be at least {LEAST_RUN_LENGTH:g} events", code=CODE)
    names = _names(arrays)
    reference, stream = _part(arrays, names, "ref_"), _part(arrays, names, "")
    sizes = repr([(name, len(arrays[name]), len(arrays[f"ref_{name}"])) for name in names])
    seed = int.from_bytes(hashlib.blake2b(sizes.encode(), digest_size=8).digest(), "big")
    try:
        with threadpool_limits(limits=1):
            verdict = scored(reference, stream, average_run_length, seed)
    except TooFew as error:
        name = f"ref_{names[0]}"
        raise Poison(
            f"array {name!r}: {error}. Take a longer reference, 500 events or more", code=CODE
        ) from error
    if not verdict.watched:
        raise Poison(
            f"nothing can be watched: {'; '.join(verdict.notes) or 'no array has known values'}",
            code=CODE,
        )
    return verdict


def findings(verdict: Verdict) -> list[Finding]:
    """The alarms as `perennial drift score --json` prints them."""
    return [
        Finding(
            t=alarm.t,
            signal=f"{alarm.signal}, {alarm.segment}" if alarm.segment else alarm.signal,
            statistic=round(alarm.statistic, 4),
            threshold=round(alarm.threshold, 4),
            cause=alarm.cause,
        )
        for alarm in verdict.alarms
    ]


def _names(arrays: Mapping[str, NDArray[Any]]) -> list[str]:
    """The arrays that are there, each with its twin, all of fitting shapes."""
    found = [name for name in NAMES if name in arrays or f"ref_{name}" in arrays]
    for name in found:
        for one, other in ((name, f"ref_{name}"), (f"ref_{name}", name)):
            if one not in arrays:
                raise Poison(
                    f"array {other!r} has no twin {one!r}: add it, or leave both out", code=CODE
                )
    if not set(found) - {"episode", "stratum"}:
        known = ", ".join(NAMES)
        raise Poison(f"no array to watch; known are {known}, each with its ref_ twin", code=CODE)
    for prefix in ("ref_", ""):
        first = arrays[prefix + found[0]]
        for name in found:
            _shape(prefix + name, arrays[prefix + name], 2 if name == "emb" else 1)
            if len(arrays[prefix + name]) != len(first):
                raise Poison(
                    f"array {prefix + name!r} has {len(arrays[prefix + name])} rows, "
                    f"{prefix + found[0]!r} has {len(first)}: one row per event in all of them",
                    code=CODE,
                )
        if not len(first):
            raise Poison(f"array {prefix + found[0]!r} is empty", code=CODE)
    if "emb" in found and arrays["emb"].shape[1] != arrays["ref_emb"].shape[1]:
        raise Poison(
            f"arrays 'emb' and 'ref_emb' have {arrays['emb'].shape[1]} and "
            f"{arrays['ref_emb'].shape[1]} dimensions: embed both with the same model",
            code=CODE,
        )
    return found


def _shape(name: str, array: NDArray[Any], dimensions: int) -> None:
    if array.ndim != dimensions:
        want = "(events, dimensions)" if dimensions == 2 else "(events,)"
        raise Poison(f"array {name!r} has shape {array.shape}, not {want}", code=CODE)
    if dimensions == 2 and not 0 < array.shape[1] <= MOST_COLUMNS:
        raise Poison(f"array {name!r} has {array.shape[1]} dimensions", code=CODE)


def _part(arrays: Mapping[str, NDArray[Any]], names: list[str], prefix: str) -> Part:
    given = {name: arrays[prefix + name] for name in names}
    size = len(next(iter(given.values())))
    numbers = {
        new: _numbers(prefix + old, given[old]) for old, new in NUMBERS.items() if old in given
    }
    if "length" in given:
        numbers["length"] = np.log1p(_numbers(prefix + "length", given["length"], least=0.0))
    if "cost" in given:
        prices = _numbers(prefix + "cost", given["cost"], least=0.0)
        numbers["cost"] = np.log(np.where(prices > 0, prices, np.nan))
    if "latency_ms" in given:
        times = _numbers(prefix + "latency_ms", given["latency_ms"], least=0.0)
        numbers["latency"] = np.log(np.where(times > 0, times / 1000, np.nan))
    words: dict[str, list[str]] = {}
    if "lang" in given:
        words["language"] = _words(prefix + "lang", given["lang"])
    if "guard_block" in given:
        verdicts = _words(prefix + "guard_block", given["guard_block"])
        words["guard_verdict"] = [VERDICTS.get(each, each) for each in verdicts]
    return Part(
        vectors=_vectors(prefix + "emb", given["emb"]) if "emb" in given else np.zeros((size, 0)),
        numbers=numbers,
        words=words,
        episodes=_episodes(prefix + "episode", given["episode"]) if "episode" in given else None,
        strata=_words(prefix + "stratum", given["stratum"]) if "stratum" in given else [""] * size,
    )


def _vectors(name: str, array: NDArray[Any]) -> NDArray[np.floating]:
    if array.dtype.kind != "f":
        raise Poison(f"array {name!r} is {array.dtype}, not float16 or float32", code=CODE)
    with np.errstate(over="ignore"):
        single = array if array.dtype == np.float16 else array.astype(np.float32)
        chunks = (single[start : start + CHUNK] for start in range(0, len(single), CHUNK))
        squares = [(chunk.astype(np.float32) ** 2).sum(axis=1) for chunk in chunks]
    bad = np.flatnonzero(~np.isfinite(np.concatenate(squares)))
    if len(bad):
        raise Poison(
            f"array {name!r}: {len(bad)} rows hold nan, inf or numbers that are too large, the "
            f"first is row {bad[0]}: embed them again or leave these events out of every array",
            code=CODE,
        )
    if not any(one.any() for one in squares):
        raise Poison(f"array {name!r} holds zeros only: no embeddings", code=CODE)
    return single


def _numbers(name: str, array: NDArray[Any], least: float | None = None) -> NDArray[np.float64]:
    if array.dtype.kind not in "biuf":
        raise Poison(f"array {name!r} is {array.dtype}, not numbers", code=CODE)
    found = array.astype(np.float64)
    if (np.abs(found) > LARGEST).any():
        raise Poison(f"array {name!r} holds inf or its like: nan stands for none", code=CODE)
    if least is not None and (found[np.isfinite(found)] < least).any():
        raise Poison(f"array {name!r} holds values below {least:g}", code=CODE)
    return found


def _words(name: str, array: NDArray[Any]) -> list[str]:
    """Text as it is, numbers by their value; nan is unknown."""
    if array.dtype.kind == "S":
        try:
            return [word.decode() for word in array.tolist()]
        except UnicodeDecodeError as error:
            raise Poison(
                f"array {name!r} holds bytes that are no UTF-8: save it as text, "
                "np.array(values, dtype=str)",
                code=CODE,
            ) from error
    if array.dtype.kind == "U":
        return [str(word) for word in array]
    found = _numbers(name, array)
    return ["" if np.isnan(value) else f"{value:g}" for value in found]


def _episodes(name: str, array: NDArray[Any]) -> NDArray[np.int64]:
    if array.dtype.kind not in "US":
        found = _numbers(name, array)
        if np.isnan(found).any() or (found != np.round(found)).any():
            raise Poison(f"array {name!r} must be whole numbers, one per event", code=CODE)
    return np.unique(array, return_inverse=True)[1].astype(np.int64)
