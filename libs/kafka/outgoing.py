"""An event as the record that is sent: one place for bound, key and headers."""

from datetime import UTC, datetime
from typing import Final

from libs.events import codec, headers
from libs.events.headers import Headers
from libs.events.topics import E, Topic
from libs.faults import Poison
from libs.runtime import tracing

MAX_EVENT_BYTES: Final = 256 * 1024


def encode(topic: Topic[E], event: E, event_id: str) -> tuple[bytes, bytes, Headers]:
    """Key, value and headers of ``event``.

    Raises:
        Poison: ``oversize`` above 256 KiB, ``no_key`` when the key field is empty.
    """
    value = codec.encode(event)
    if len(value) > MAX_EVENT_BYTES:
        raise Poison(
            f"{topic.event.__name__} is {len(value)} bytes, more than {MAX_EVENT_BYTES}: "
            "put its content into the artifact store and send the reference",
            code="oversize",
        )
    key = topic.key(event)
    if not key:
        raise Poison(f"{topic.event.__name__} has an empty key", code="no_key")
    return key.encode(), value, headers.stamp(event_id, datetime.now(UTC), tracing.outgoing())
