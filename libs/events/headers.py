"""Header names, and reading them: event-id, produced-at, content-type, traceparent, dlq-*."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Final

import uuid_utils

EVENT_ID: Final = "event-id"
PRODUCED_AT: Final = "produced-at"  # RFC 3339, UTC
CONTENT_TYPE: Final = "content-type"

DLQ_CODE: Final = "dlq-code"
DLQ_REASON: Final = "dlq-reason"
DLQ_ORIGIN: Final = "dlq-origin"  # topic/partition/offset
DLQ_ATTEMPT: Final = "dlq-attempt"  # how many times it was dead-lettered

Headers = tuple[tuple[str, bytes], ...]


def new_event_id() -> str:
    """A UUIDv7 (RFC 9562): sorts by the time it was made."""
    return str(uuid_utils.uuid7())


def stamp(event_id: str, at: datetime, trace: Iterable[tuple[str, str]] = ()) -> Headers:
    """The headers of a new event."""
    pairs = [(EVENT_ID, event_id), (PRODUCED_AT, at.isoformat()), *trace]
    return tuple((name, value.encode()) for name, value in pairs)


def get(headers: Headers, name: str) -> str | None:
    """The last value of a header, or None. Bytes that are not UTF-8 are replaced."""
    for key, value in reversed(headers):
        if key == name:
            return value.decode(errors="replace")
    return None


def produced_at(headers: Headers, timestamp_ms: int) -> datetime:
    """When the event was produced: its header, else the broker's timestamp; 1970 where neither is
    a time, as producers from outside may say what they want."""
    text = get(headers, PRODUCED_AT)
    if text is not None:
        try:
            at = datetime.fromisoformat(text)
            return at.astimezone(UTC) if at.tzinfo else at.replace(tzinfo=UTC)
        except (ValueError, OverflowError):
            pass
    try:
        return datetime.fromtimestamp(timestamp_ms / 1000, tz=UTC)
    except (ValueError, OverflowError, OSError):
        return datetime.fromtimestamp(0, tz=UTC)
