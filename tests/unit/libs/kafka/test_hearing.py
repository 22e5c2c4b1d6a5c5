"""A record that waits at two looks, and a partition that did not move, need another client."""

from dataclasses import dataclass, field
from typing import cast

from confluent_kafka import Consumer, KafkaException, TopicPartition

from libs.kafka.hearing import Hearing, Place

PLACE = ("topic", 0)
OTHER = ("topic", 1)


@dataclass
class Log:
    """The broker as a consumer's requests show it."""

    ends: dict[Place, int]
    settled: dict[Place, int] = field(default_factory=dict)
    away: bool = False

    def assignment(self) -> list[TopicPartition]:
        return [TopicPartition(*place) for place in self.ends]

    def offsets_for_times(self, asked: list[TopicPartition], _: float) -> list[TopicPartition]:
        if self.away:
            raise KafkaException("away")
        return [
            TopicPartition(a.topic, a.partition, self.ends[a.topic, a.partition]) for a in asked
        ]

    def committed(self, asked: list[TopicPartition], _: float) -> list[TopicPartition]:
        places = [(each.topic, each.partition) for each in asked]
        return [TopicPartition(*place, self.settled.get(place, -1001)) for place in places]


def looks(hearing: Hearing, log: Log, count: int = 1) -> list[list[Place]]:
    return [hearing.lost(cast(Consumer, log)) for _ in range(count)]


def test_a_record_that_waits_from_look_to_look_is_lost_once() -> None:
    positions = {PLACE: 3, OTHER: 7}
    hearing, log = Hearing(positions, every_s=0), Log({PLACE: 4, OTHER: 7})

    assert looks(hearing, log, 3) == [[], [PLACE], []]

    log.ends[PLACE] = 5  # the other client heard nothing either
    assert looks(hearing, log, 2) == [[PLACE], []]


def test_a_partition_that_moves_is_heard() -> None:
    positions = {PLACE: 3}
    hearing, log = Hearing(positions, every_s=0), Log({PLACE: 100})

    looks(hearing, log)
    positions[PLACE] = 4

    assert looks(hearing, log) == [[]]


def test_a_partition_never_read_from_begins_where_its_group_left_it() -> None:
    hearing, log = Hearing({}, every_s=0), Log({PLACE: 4, OTHER: 9}, settled={PLACE: 4})

    assert looks(hearing, log, 2) == [[], [OTHER]]


def test_a_broker_that_is_away_says_nothing() -> None:
    hearing, log = Hearing({PLACE: 3}, every_s=0), Log({PLACE: 4}, away=True)

    assert looks(hearing, log, 3) == [[], [], []]


def test_the_broker_is_asked_now_and_then() -> None:
    now = 0.0
    hearing = Hearing({PLACE: 3}, every_s=15, now=lambda: now)
    log = Log({PLACE: 4})

    assert looks(hearing, log, 3) == [[], [], []]
    now = 15.0
    assert looks(hearing, log) == [[PLACE]]
