"""Kinds of hours: within one of them the traffic is the same kind of draw, between them not."""

from datetime import UTC, datetime
from typing import Final

PARTS: Final = ("night", "morning", "afternoon", "evening")
SEASONS: Final = tuple(f"{day} {part}" for day in ("weekday", "weekend") for part in PARTS)
WEEK_S: Final = 7 * 86_400


def season(at: float) -> str:
    """Quarter of the day (UTC) by weekday or weekend, e.g. "weekday morning".

    Args:
        at: seconds since 1970.
    """
    when = datetime.fromtimestamp(at, UTC)
    day = "weekend" if when.weekday() >= 5 else "weekday"
    return f"{day} {PARTS[when.hour // 6]}"
