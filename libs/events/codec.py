"""Bytes <-> event. Protobuf on the wire; the proto3 JSON mapping is read as well."""

from typing import Final

from google.protobuf import json_format
from google.protobuf.message import DecodeError

from libs.events.topics import E, Topic
from libs.faults import Poison

PROTOBUF: Final = "application/x-protobuf"
JSON: Final = "application/json"
MAX_JSON_DEPTH: Final = 32


def encode(event: E) -> bytes:
    """Deterministic protobuf bytes of ``event``."""
    return event.SerializeToString(deterministic=True)


def decode(topic: Topic[E], value: bytes, content_type: str = PROTOBUF) -> E:
    """Read one event.

    Raises:
        Poison: ``undecodable`` when the bytes are not this topic's event.
    """
    event = topic.event()
    try:
        if content_type == PROTOBUF:
            event.ParseFromString(value)
        elif content_type == JSON:
            json_format.Parse(value, event, max_recursion_depth=MAX_JSON_DEPTH)
        else:
            raise Poison(
                f"content-type {content_type!r}; send {PROTOBUF} or {JSON}", code="undecodable"
            )
    except (DecodeError, json_format.ParseError, UnicodeDecodeError, RecursionError) as error:
        raise Poison(f"not a {topic.event.__name__}: {error}", code="undecodable") from error
    return event
