"""Whether a consumer still hears its partitions.

After its broker was away, librdkafka now and then never fetches a partition again
(confluentinc/librdkafka#5153): nothing says so, and only another client helps.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from confluent_kafka import OFFSET_END, Consumer, KafkaException, TopicPartition

LOOK_EVERY_S: Final = 15.0
TIMEOUT_S: Final = 5.0

Place = tuple[str, int]
"""Topic and partition."""


@dataclass(slots=True)
class Hearing:
    """A record that waited at one look and still waits at the next will not come.

    What ends a log may be no record (a transaction's marker, or nothing after retention): another
    client is asked for once for each end of a partition.

    Fields:
        positions: of the partitions that were read from, the offset after the last record.
    """

    positions: Mapping[Place, int]
    every_s: float = LOOK_EVERY_S
    now: Callable[[], float] = time.monotonic
    _next_s: float = 0.0
    _waited: dict[Place, int] = field(default_factory=dict)
    _tried: dict[Place, int] = field(default_factory=dict)

    def lost(self, consumer: Consumer) -> list[Place]:
        """The partitions that another client is wanted for. To be asked when ``consumer`` has
        handed out all that it fetched; asks the broker, now and then. One that is away says
        nothing about the consumer."""
        if self.now() < self._next_s:
            return []
        self._next_s = self.now() + self.every_s
        try:
            ends = _ends(consumer)
            at = dict(self.positions)
            if not ends.keys() <= at.keys():
                at = _committed(consumer) | at
        except KafkaException:
            return []
        waits = {place: at.get(place, 0) for place, end in ends.items() if end > at.get(place, 0)}
        lost = [
            place
            for place, position in waits.items()
            if self._waited.get(place) == position and self._tried.get(place) != ends[place]
        ]
        self._waited = waits
        self._tried |= {place: ends[place] for place in lost}
        return lost


def _ends(consumer: Consumer) -> dict[Place, int]:
    """The offset after the last record of each assigned partition."""
    taken = [TopicPartition(one.topic, one.partition, OFFSET_END) for one in consumer.assignment()]
    found = consumer.offsets_for_times(taken, TIMEOUT_S) if taken else []
    return {(one.topic, one.partition): one.offset for one in found if one.error is None}


def _committed(consumer: Consumer) -> dict[Place, int]:
    found = consumer.committed(consumer.assignment(), TIMEOUT_S)
    return {(one.topic, one.partition): one.offset for one in found if one.offset >= 0}
