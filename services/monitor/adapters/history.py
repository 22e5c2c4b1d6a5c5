"""A team's own history from a file: .npz, .csv or .parquet. Nothing in it is executed."""

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
from numpy.typing import NDArray

from libs.faults import Poison

MOST_BYTES: Final = 4 * 2**30
MOST_COLUMNS: Final = 4096
CODE: Final = "bad_history"
NAMES: Final = (
    "emb",
    "length",
    "lang",
    "logprob",
    "latency_ms",
    "retrieval_score",
    "guard_block",
    "feedback",
    "episode",
    "stratum",
)

Arrays = dict[str, NDArray[Any]]


def read(path: Path) -> Arrays:
    """The arrays of a history, those of the reference with "ref_" before their names.

    Raises:
        Poison: ``bad_history``: what is wrong, with which array, and what to do.
    """
    readers = {".npz": _npz, ".csv": _csv, ".parquet": _parquet}
    if path.suffix not in readers:
        raise Poison(f"{path.name}: want .npz, .csv or .parquet", code=CODE)
    try:
        if path.stat().st_size > MOST_BYTES:
            raise Poison(f"{path.name}: more than {MOST_BYTES >> 30} GiB; score a part", code=CODE)
        return readers[path.suffix](path)
    except (OSError, pa.ArrowException, zipfile.BadZipFile) as error:
        raise Poison(f"{path.name} cannot be read: {error}", code=CODE) from error


def _npz(path: Path) -> Arrays:
    with zipfile.ZipFile(path) as archive:
        if sum(member.file_size for member in archive.infolist()) > MOST_BYTES:
            raise Poison(f"{path.name}: unpacks to more than {MOST_BYTES >> 30} GiB", code=CODE)
    found: Arrays = {}
    with np.load(path, allow_pickle=False) as arrays:
        for name in arrays.files:
            if name.removeprefix("ref_") not in NAMES:
                continue
            try:
                found[name] = arrays[name]
            except ValueError as error:
                raise Poison(
                    f"array {name!r} holds Python objects: save it as numbers or as text, "
                    f"np.array(values, dtype=str) ({error})",
                    code=CODE,
                ) from error
    return found


def _csv(path: Path) -> Arrays:
    return _split(pa.csv.read_csv(path))


def _parquet(path: Path) -> Arrays:
    return _split(pa.parquet.read_table(path))


def _split(table: pa.Table) -> Arrays:
    """Columns to arrays; the boolean column ``reference`` says which rows come first."""
    columns: Mapping[str, Any] = {name: table.column(name) for name in table.column_names}
    if "reference" not in columns:
        raise Poison("column 'reference' is missing: true for the reference's rows", code=CODE)
    marks = _values("reference", columns["reference"])
    if marks.dtype.kind not in "biu" or not set(np.unique(marks).tolist()) <= {0, 1}:
        raise Poison("column 'reference' must be true or false in every row", code=CODE)
    chosen = marks.astype(bool)
    found: Arrays = {}
    for name in NAMES:
        values = _embedding(columns) if name == "emb" else columns.get(name)
        if values is not None:
            whole = values if name == "emb" else _values(name, values)
            found[name], found[f"ref_{name}"] = whole[~chosen], whole[chosen]
    return found


def _embedding(columns: Mapping[str, Any]) -> NDArray[np.float32] | None:
    if "emb" in columns:
        rows = columns["emb"].to_pylist()
        if any(row is None or len(row) != len(rows[0] or ()) for row in rows):
            raise Poison("column 'emb': every row needs a list of the same length", code=CODE)
        try:
            return np.array(rows, np.float32)
        except (TypeError, ValueError) as error:
            raise Poison("column 'emb' must hold lists of numbers", code=CODE) from error
    count = 0
    while f"emb_{count}" in columns and count < MOST_COLUMNS:
        count += 1
    if not count:
        return None
    parts = [_values(f"emb_{place}", columns[f"emb_{place}"]) for place in range(count)]
    for place, part in enumerate(parts):
        if part.dtype.kind not in "fiu":
            raise Poison(f"column 'emb_{place}' is not a number in every row", code=CODE)
    return np.stack(parts, axis=1).astype(np.float32)


def _values(name: str, column: Any) -> NDArray[Any]:
    """Missing numbers as nan, missing words as ""."""
    kind = column.type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_dictionary(kind):
        return np.array([value or "" for value in column.to_pylist()], str)
    if pa.types.is_null(kind):
        return np.full(len(column), np.nan)
    if not (pa.types.is_floating(kind) or pa.types.is_integer(kind) or pa.types.is_boolean(kind)):
        raise Poison(f"column {name!r} is {kind}: want numbers or text", code=CODE)
    if column.null_count:
        return np.array([np.nan if v is None else float(v) for v in column.to_pylist()])
    return np.asarray(column.to_numpy())
