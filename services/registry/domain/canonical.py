"""Values <-> JSON, and digests of them: sorted keys, no blanks, repeatable to the byte."""

import hashlib
import json
import types
from collections.abc import Hashable, Mapping
from dataclasses import Field, field, fields, is_dataclass
from enum import Enum
from functools import cache
from typing import Any, Final, TypeVar, Union, get_args, get_origin, get_type_hints

T = TypeVar("T")
LATER: Final = "later"


def later(default: T) -> T:
    """A member that came after the first release of the registry.

    At its default, which is proto's own (0, "", nothing), it stays out of the canonical form,
    so that the digests of what was there before it are still the same.
    """
    member: T = field(default=default, metadata={LATER: True})
    return member


def plain(value: object) -> Any:
    """``value`` as JSON types: dataclasses become objects, tuples lists.

    Left out are None, and `later` members at their defaults.
    """
    if isinstance(value, Enum):
        return value.value
    if is_dataclass(value) and not isinstance(value, type):
        members = ((each, getattr(value, each.name)) for each in fields(value))
        return {each.name: plain(member) for each, member in members if not _absent(each, member)}
    if isinstance(value, tuple):
        return [plain(member) for member in value]
    return value


def _absent(each: Field[Any], member: object) -> bool:
    return member is None or (LATER in each.metadata and member == each.default)


def restore(kind: type[T], data: Mapping[str, Any]) -> T:
    """The dataclass ``kind`` out of what `plain` made of it.

    Unknown members are left out, missing ones take their defaults, so that an older
    and a newer registry read each other's rows.
    """
    hints = _hints(kind)  # type: ignore[arg-type]  # types are hashable
    return kind(**{name: _member(hint, data[name]) for name, hint in hints.items() if name in data})


@cache
def _hints(kind: Hashable) -> dict[str, Any]:
    return get_type_hints(kind)


def _member(hint: Any, data: Any) -> Any:
    if get_origin(hint) in (Union, types.UnionType):
        (hint,) = (each for each in get_args(hint) if each is not type(None))
    if get_origin(hint) is tuple:
        return tuple(_member(get_args(hint)[0], each) for each in data)
    if isinstance(hint, type) and is_dataclass(hint):
        return restore(hint, data)
    return hint(data)


def dumps(value: object) -> str:
    """Canonical JSON of ``value``. Infinities and NaN are refused with ValueError."""
    return json.dumps(
        plain(value), sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )


def loads(kind: type[T], text: str) -> T:
    return restore(kind, json.loads(text))


def sha256(value: object) -> str:
    """Lower-case hex over the canonical JSON."""
    return hashlib.sha256(dumps(value).encode()).hexdigest()
