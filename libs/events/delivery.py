"""One event as it reached a consumer."""

from dataclasses import dataclass
from datetime import datetime
from typing import Generic

from libs.events.topics import E, Topic


@dataclass(slots=True)
class Delivery(Generic[E]):
    """An event with where it stands on the log; quicker to make than a frozen one.

    ``event_id`` is the producer's; a foreign producer that sends none gets
    ``topic/partition/offset``, which a redelivery repeats.
    """

    topic: Topic[E]
    event: E
    event_id: str
    partition: int
    offset: int
    produced_at: datetime
