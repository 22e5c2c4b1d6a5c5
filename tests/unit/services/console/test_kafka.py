"""Counting events, lag and dead letters from offsets."""

from confluent_kafka import TopicPartition

from services.console.adapters.kafka import count


def test_events_are_what_the_log_holds_and_letters_stand_with_their_topic() -> None:
    a0, a1, dead = TopicPartition("a", 0), TopicPartition("a", 1), TopicPartition("a.dlq", 0)

    topics = count({a0: 5, a1: 0, dead: 0}, {a0: 10, a1: 3, dead: 2}, {})

    assert [(one.name, one.events, one.dead_letters) for one in topics] == [("a", 8, 2)]


def test_lag_is_per_group_and_never_negative() -> None:
    ends = {TopicPartition("a", 0): 10, TopicPartition("a", 1): 10}
    committed = {
        "slow": [TopicPartition("a", 0, 4), TopicPartition("a", 1, 9)],
        "ahead": [TopicPartition("a", 0, 12)],
        "new": [TopicPartition("a", 0, -1001)],
        "elsewhere": [TopicPartition("b", 0, 1)],
    }

    (topic,) = count({}, ends, committed)

    assert topic.lags == {"slow": 7, "ahead": 0}
