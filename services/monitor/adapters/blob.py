"""A tree of dataclasses as bytes and back: JSON for the values, npz for the arrays.

No pickle on either way. A field that the bytes lack gets its default, one that the class lacks
is left out, so that old and new code read each other's states.
"""

import dataclasses
import io
import json
from types import NoneType, UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

import numpy as np

T = TypeVar("T")

ARRAY = "$array"


def freeze(state: object) -> bytes:
    """``state`` is a dataclass of numbers, strings, arrays, lists, tuples, str-keyed dicts and
    such dataclasses."""
    arrays: dict[str, np.ndarray[Any, Any]] = {}
    text = json.dumps(_plain(state, arrays), separators=(",", ":"))
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, json=np.frombuffer(text.encode(), np.uint8), **arrays)
    return buffer.getvalue()


def thaw(kind: type[T], data: bytes) -> T:
    """The reverse of `freeze`.

    Raises:
        ValueError: the bytes are not a frozen ``kind``.
    """
    with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
        plain = json.loads(arrays["json"].tobytes())
        loaded = {name: arrays[name] for name in arrays.files if name != "json"}
    thawed: T = _thaw(kind, plain, loaded)
    return thawed


def _plain(value: Any, arrays: dict[str, np.ndarray[Any, Any]]) -> Any:
    if isinstance(value, np.ndarray):
        name = f"a{len(arrays)}"
        arrays[name] = value
        return {ARRAY: name}
    if dataclasses.is_dataclass(value):
        fields = [field.name for field in dataclasses.fields(value) if field.init]
        return {name: _plain(getattr(value, name), arrays) for name in fields}
    if isinstance(value, dict):
        return {key: _plain(item, arrays) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item, arrays) for item in value]
    return value.item() if isinstance(value, np.generic) else value


def _thaw(kind: Any, value: Any, arrays: dict[str, np.ndarray[Any, Any]]) -> Any:
    origin, inner = get_origin(kind), get_args(kind)
    if origin in (Union, UnionType):
        some = next(member for member in inner if member is not NoneType)
        return None if value is None else _thaw(some, value, arrays)
    if origin is np.ndarray:
        return arrays[value[ARRAY]].copy()
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        hints = get_type_hints(kind)
        names = [field.name for field in dataclasses.fields(kind) if field.init]
        known = {name: _thaw(hints[name], value[name], arrays) for name in names if name in value}
        return kind(**known)
    if origin is dict:
        return {key: _thaw(inner[1], item, arrays) for key, item in value.items()}
    if origin in (list, tuple):
        return origin(_thaw(inner[0], item, arrays) for item in value)
    if origin is Literal:
        return value
    return kind(value)
