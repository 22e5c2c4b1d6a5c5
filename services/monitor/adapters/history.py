"""A team's own history from a file: .npz, .csv or .parquet. Nothing in it is executed."""

import math
import re
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
from numpy.lib import format as npy
from numpy.typing import NDArray

from libs.faults import Poison

MOST_BYTES: Final = 4 * 2**30
MOST_COLUMNS: Final = 4096
CLOSE: Final = 0.65
"""Likeness of two names, as difflib counts it."""
SHOWN: Final = 10
PART: Final = re.compile("emb_[0-9]+")
CODE: Final = "bad_history"
NAMES: Final = (
    "emb",
    "length",
    "lang",
    "logprob",
    "latency_ms",
    "cost",
    "retrieval_score",
    "guard_block",
    "feedback",
    "episode",
    "stratum",
)

Arrays = dict[str, NDArray[Any]]


@dataclass(frozen=True, slots=True)
class History:
    """The arrays, those of the reference with "ref_" before their names.

    Fields:
        unknown: names in the file, without "ref_", that nothing is made of.
    """

    arrays: Arrays
    unknown: tuple[str, ...]

    @property
    def notes(self) -> list[str]:
        """One line for each unknown name that may be meant otherwise, and one for the others."""
        free = [name for name in NAMES if not {name, f"ref_{name}"} <= self.arrays.keys()]
        meant = {name: get_close_matches(name.lower(), free, 1, CLOSE) for name in self.unknown}
        others = [repr(name) for name, found in meant.items() if not found]
        shown = [*others[:SHOWN], *([f"{len(others) - SHOWN} more"] if others[SHOWN:] else [])]
        return [
            *(f"{n!r} is not watched; did you mean {m[0]!r}?" for n, m in meant.items() if m),
            *([f"not watched, of unknown names: {', '.join(shown)}"] if others else []),
        ]


def read(path: Path) -> History:
    """What is in the file.

    Raises:
        Poison: ``bad_history``: what is wrong, with which array, and what to do.
    """
    readers = {".npz": _npz, ".csv": _csv, ".parquet": _parquet}
    if path.suffix.lower() not in readers:
        raise Poison(f"{path.name}: want .npz, .csv or .parquet", code=CODE)
    try:
        if path.stat().st_size > MOST_BYTES:
            raise Poison(f"{path.name}: more than {MOST_BYTES >> 30} GiB; score a part", code=CODE)
        return readers[path.suffix.lower()](path)
    except Poison:
        raise
    except Exception as error:  # a damaged file makes its reader raise anything
        raise Poison(f"{path.name} cannot be read: {error}", code=CODE) from error


def _npz(path: Path) -> History:
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
        if sum(member.file_size for member in members) > MOST_BYTES:
            raise Poison(f"{path.name}: unpacks to more than {MOST_BYTES >> 30} GiB", code=CODE)
        named = {member.filename.removesuffix(".npy"): member for member in members}
        wanted = [name for name in named if name.removeprefix("ref_") in NAMES]
        arrays = {name: _array(archive, named[name], name) for name in wanted}
        return History(arrays, _others(named))


def _array(archive: zipfile.ZipFile, member: zipfile.ZipInfo, name: str) -> NDArray[Any]:
    """A member, its header looked at before there is room made for it."""
    try:
        with archive.open(member) as file:
            version = npy.read_magic(file)
            read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
            shape, _, kind = read(file)
        if kind.hasobject:
            raise Poison(
                f"array {name!r} holds Python objects: save it as numbers or as text, "
                "np.array(values, dtype=str)",
                code=CODE,
            )
        if math.prod(shape) * kind.itemsize > member.file_size:
            raise Poison(f"array {name!r} is cut short: {shape} do not fit into it", code=CODE)
        with archive.open(member) as file:
            return np.asarray(npy.read_array(file, allow_pickle=False))
    except Poison:
        raise
    except Exception as error:
        raise Poison(f"array {name!r} cannot be read: {error}", code=CODE) from error


def _csv(path: Path) -> History:
    table = pa.csv.read_csv(path)
    return History(_split(table), _others(table.column_names))


def _parquet(path: Path) -> History:
    """The columns that are known, if the file says that they fit into memory."""
    with pa.parquet.ParquetFile(path) as file:
        wanted = [name for name in file.schema_arrow.names if _known(name)]
        groups = [file.metadata.row_group(place) for place in range(file.num_row_groups)]
        chunks = [group.column(place) for group in groups for place in range(group.num_columns)]
        unpacked = sum(
            max(8 * chunk.num_values, chunk.total_uncompressed_size)
            for chunk in chunks
            if _known(chunk.path_in_schema.split(".")[0])
        )
        if unpacked > MOST_BYTES:
            raise Poison(f"{path.name}: unpacks to more than {MOST_BYTES >> 30} GiB", code=CODE)
        return History(_split(file.read(columns=wanted)), _others(file.schema_arrow.names))


def _known(name: str) -> bool:
    return name in NAMES or name == "reference" or PART.fullmatch(name) is not None


def _others(names: Iterable[str]) -> tuple[str, ...]:
    bare = dict.fromkeys(name.removeprefix("ref_") for name in names)
    return tuple(name for name in bare if not _known(name))


def _split(table: pa.Table) -> Arrays:
    """Columns to arrays; the boolean column ``reference`` says which rows come first."""
    if len(set(table.column_names)) < len(table.column_names):
        raise Poison("two columns have the same name", code=CODE)
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
        try:
            if any(row is None or len(row) != len(rows[0]) for row in rows):
                raise Poison("column 'emb': every row needs a list of the same length", code=CODE)
            return _single(np.array(rows, np.float64))
        except (TypeError, ValueError) as error:
            raise Poison("column 'emb' must hold lists of numbers", code=CODE) from error
    count = sum(PART.fullmatch(name) is not None for name in columns)
    if not count:
        return None
    names = [f"emb_{place}" for place in range(count)]
    for name in names:
        if name not in columns:
            raise Poison(f"column {name!r} is missing: number them from emb_0 on", code=CODE)
    parts = [_values(name, columns[name]) for name in names]
    for name, part in zip(names, parts, strict=True):
        if part.dtype.kind not in "fiu":
            raise Poison(f"column {name!r} is not a number in every row", code=CODE)
    return _single(np.stack(parts, axis=1))


def _single(rows: NDArray[Any]) -> NDArray[np.float32]:
    """What is too large for it becomes inf, which is refused with its row."""
    with np.errstate(over="ignore"):
        return rows.astype(np.float32)


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
