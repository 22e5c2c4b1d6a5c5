"""A tree of dataclasses as bytes and back: JSON for the values, the arrays behind it.

No pickle on either way. A field that the bytes lack gets its default, one that the class lacks
is left out, so that old and new code read each other's states.

    "PRN1" | length of the header, 8 bytes | header, JSON | arrays, one after the other

The header is ``{"arrays": [[dtype, shape], ...], "state": ...}``; in the state an array is
``{"$array": place}``, and a dataclass that could be several has its name as ``"$kind"``. States
of an older form (npz) are read as well.
"""

import dataclasses
import io
import json
import math
from functools import cache
from types import NoneType, UnionType
from typing import Any, Final, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

import numpy as np

T = TypeVar("T")
Array = np.ndarray[Any, Any]

MAGIC: Final = b"PRN1"
PREFIX: Final = len(MAGIC) + 8
ARRAY: Final = "$array"
KIND: Final = "$kind"
KINDS: Final = "biufc"


def freeze(state: object) -> bytes:
    """``state`` is a dataclass of numbers, strings, arrays, lists, tuples, str-keyed dicts and
    such dataclasses."""
    arrays: list[Array] = []
    plain = _plain(state, arrays)
    kinds = [[array.dtype.str, array.shape] for array in arrays]
    header = json.dumps({"arrays": kinds, "state": plain}, separators=(",", ":")).encode()
    rows = [array.tobytes() for array in arrays]
    return b"".join([MAGIC, len(header).to_bytes(8, "little"), header, *rows])


def thaw(kind: type[T], data: bytes) -> T:
    """The reverse of `freeze`.

    Raises:
        ValueError: the bytes are not a frozen ``kind``.
    """
    plain, arrays = _packed(data) if data[: len(MAGIC)] == MAGIC else _zipped(data)
    thawed: T = _thaw(kind, plain, arrays)
    return thawed


def _packed(data: bytes) -> tuple[Any, dict[Any, Array]]:
    start = PREFIX + int.from_bytes(data[len(MAGIC) : PREFIX], "little")
    header = json.loads(data[PREFIX:start])
    arrays: dict[Any, Array] = {}
    for place, (name, shape) in enumerate(header["arrays"]):
        dtype = np.dtype(name)
        if dtype.kind not in KINDS:
            raise ValueError(f"an array of {name}")
        count = math.prod(shape)
        arrays[place] = np.frombuffer(data, dtype, count, start).reshape(shape)
        start += count * dtype.itemsize
    return header["state"], arrays


def _zipped(data: bytes) -> tuple[Any, dict[Any, Array]]:
    with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
        plain = json.loads(arrays["json"].tobytes())
        return plain, {name: arrays[name] for name in arrays.files if name != "json"}


def _plain(value: Any, arrays: list[Array]) -> Any:
    if isinstance(value, np.ndarray):
        arrays.append(value)
        return {ARRAY: len(arrays) - 1}
    if isinstance(value, str | int | float) or value is None:
        return value.item() if isinstance(value, np.generic) else value
    if isinstance(value, list | tuple):
        flat = all(type(item) in (str, int, float) for item in value)
        return list(value) if flat else [_plain(item, arrays) for item in value]
    if isinstance(value, dict):
        return {key: _plain(item, arrays) for key, item in value.items()}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        plain = {name: _plain(getattr(value, name), arrays) for name in _names(type(value))}
        return {KIND: type(value).__name__, **plain}
    return value.item() if isinstance(value, np.generic) else value


def _thaw(kind: Any, value: Any, arrays: dict[Any, Array]) -> Any:
    origin, inner = get_origin(kind), get_args(kind)
    if origin in (Union, UnionType):
        return None if value is None else _thaw(_member(inner, value), value, arrays)
    if origin is np.ndarray:
        return arrays[value[ARRAY]].copy()
    if isinstance(kind, type) and dataclasses.is_dataclass(kind):
        hints = _hints(kind)
        names = _names(kind)
        return kind(
            **{name: _thaw(hints[name], value[name], arrays) for name in names if name in value}
        )
    if origin is dict:
        return {key: _thaw(inner[1], item, arrays) for key, item in value.items()}
    if origin in (list, tuple):
        plain = inner[0] in (str, int)
        return origin(value if plain else (_thaw(inner[0], item, arrays) for item in value))
    return value if origin is Literal else kind(value)


def _member(members: tuple[Any, ...], value: Any) -> Any:
    """The member of a union that ``value`` was; the first where the bytes do not say."""
    some = [member for member in members if member is not NoneType]
    name = value.get(KIND) if isinstance(value, dict) else None
    return next((member for member in some if getattr(member, "__name__", "") == name), some[0])


@cache
def _names(kind: type[Any]) -> tuple[str, ...]:
    return tuple(field.name for field in dataclasses.fields(kind) if field.init)


@cache
def _hints(kind: type[Any]) -> dict[str, Any]:
    return get_type_hints(kind)
