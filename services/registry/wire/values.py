"""Messages <-> values whose fields have the same names."""

from collections.abc import Iterable
from typing import TypeVar

from google.protobuf.json_format import MessageToDict, ParseDict
from google.protobuf.message import Message

from services.registry.domain.canonical import plain, restore

T = TypeVar("T")
M = TypeVar("M", bound=Message)


def value(kind: type[T], message: Message) -> T:
    """``message`` as a ``kind``: members of the same names; what is not set takes its default."""
    return restore(kind, MessageToDict(message, preserving_proto_field_name=True))


def given(kind: type[T], message: Message, field: str) -> T | None:
    """The value of a message's field, None where the field is absent."""
    return value(kind, getattr(message, field)) if message.HasField(field) else None


def message(kind: type[M], value: object) -> M:
    """``value`` as a message with the same field names."""
    return ParseDict(plain(value), kind())


def messages(kind: type[M], values: Iterable[object]) -> list[M]:
    return [message(kind, each) for each in values]


def optional(kind: type[M], value: object | None) -> M | None:
    """``value`` as a message; absent where it is None."""
    return None if value is None else message(kind, value)
