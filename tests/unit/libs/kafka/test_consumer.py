"""The loop's promises: settle, then commit; nothing is dropped; nothing stops for a bad record."""

from collections.abc import Callable

import pytest
from prometheus_client import REGISTRY
from structlog.typing import EventDict

from libs.events import headers
from libs.events.delivery import Delivery
from libs.events.topics import DRIFT_DETECTED, FEEDBACK_JOINED
from libs.faults import Fatal, Poison, Retryable, StoreAway
from libs.kafka.consumer import RETRY_WAITS_S, ConsumerLoop, Route
from libs.kafka.memory import MemoryBroker, MemorySink
from libs.runtime.logs import with_event_id
from protos.monitor.v1.monitor_events_pb2 import DriftDetected

Handler = Callable[[Delivery[DriftDetected]], None]


class DeadSink(MemorySink):
    """A broker that takes nothing."""

    def flush(self) -> None:
        raise Retryable("no broker")


class FailsOnce(MemorySink):
    """Loses what was queued and says so once, as a producer does."""

    flushes = 0

    def flush(self) -> None:
        self.flushes += 1
        if self.flushes == 1:
            raise Retryable("1 failed")


def drift(application: str) -> DriftDetected:
    return DriftDetected(application=application)


def loop_over(
    broker: MemoryBroker, handler: Handler, sink: MemorySink | None = None
) -> ConsumerLoop:
    source = broker.source("monitor", [DRIFT_DETECTED.name])
    waits: list[float] = []
    return ConsumerLoop(
        source, sink or broker.sink(), [Route(DRIFT_DETECTED, handler)], sleep=waits.append
    )


def committed(broker: MemoryBroker) -> int | None:
    return broker.committed.get(("monitor", DRIFT_DETECTED.name))


def settled() -> tuple[float, float]:
    """Handled and dead-lettered, ever."""
    found = [
        REGISTRY.get_sample_value(
            "perennial_events_settled_total", {"topic": DRIFT_DETECTED.name, "outcome": outcome}
        )
        for outcome in ("handled", "dead_lettered")
    ]
    return found[0] or 0.0, found[1] or 0.0


def test_a_batch_is_handled_in_order_and_committed_once() -> None:
    broker = MemoryBroker()
    for name in ("a", "b", "c"):
        broker.produce(DRIFT_DETECTED, drift(name))
    seen: list[str] = []

    settled = loop_over(broker, lambda delivery: seen.append(delivery.event.application)).step()

    assert (settled, seen, committed(broker)) == (3, ["a", "b", "c"], 3)


def test_a_poison_record_in_the_middle_of_a_batch_is_buried_and_the_rest_is_handled() -> None:
    broker = MemoryBroker()
    broker.produce(DRIFT_DETECTED, drift("a"))
    broker.append(DRIFT_DETECTED.name, b"a", b"\xff\xff", ())
    broker.produce(DRIFT_DETECTED, drift("c"))
    seen: list[str] = []

    loop_over(broker, lambda delivery: seen.append(delivery.event.application)).step()

    letter = broker.logs[DRIFT_DETECTED.dead_letters][0]
    assert seen == ["a", "c"]
    assert letter.value == b"\xff\xff"
    assert headers.get(letter.headers, headers.DLQ_CODE) == "undecodable"
    assert headers.get(letter.headers, headers.DLQ_ORIGIN) == f"{DRIFT_DETECTED.name}/0/1"
    assert committed(broker) == 3


@pytest.mark.parametrize("told", [b"x", b"1.5", b"9" * 5000, b"\xff", b"-1"])
def test_a_poison_record_is_buried_whatever_its_headers_say(told: bytes) -> None:
    broker = MemoryBroker()
    head = ((headers.DLQ_ATTEMPT, told),)
    broker.append(DRIFT_DETECTED.name, b"a", b"\xff\xff", head)

    loop_over(broker, lambda _: None).step()

    letter = broker.logs[DRIFT_DETECTED.dead_letters][0]
    assert headers.get(letter.headers, headers.DLQ_ATTEMPT) == "1"
    assert committed(broker) == 1


@pytest.mark.parametrize("text", ["9999-12-31T23:59:59-23:59", "0001-01-01T00:00:00+23:59", "?"])
@pytest.mark.parametrize("timestamp_ms", [2**62, -(2**62)])
def test_a_time_that_is_none_is_the_beginning_of_time(text: str, timestamp_ms: int) -> None:
    at = headers.produced_at(((headers.PRODUCED_AT, text.encode()),), timestamp_ms)

    assert at.timestamp() == 0


def test_no_record_is_dropped_when_the_dead_letter_topic_is_down() -> None:
    broker = MemoryBroker()
    broker.append(DRIFT_DETECTED.name, b"a", b"\xff\xff", ())
    loop = loop_over(broker, lambda _: None, DeadSink(broker))

    with pytest.raises(Fatal):
        loop.step()

    assert committed(broker) is None


def test_a_batch_whose_events_were_not_delivered_is_never_committed() -> None:
    broker = MemoryBroker()
    broker.produce(DRIFT_DETECTED, drift("a"))
    failing = FailsOnce(broker)

    with pytest.raises(Fatal):
        loop_over(broker, lambda _: None, failing).step()

    assert failing.flushes == 1
    assert committed(broker) is None


def test_a_bug_in_a_handler_stops_the_loop_with_nothing_committed() -> None:
    broker = MemoryBroker()
    broker.produce(DRIFT_DETECTED, drift("a"))

    def buggy(_: Delivery[DriftDetected]) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        loop_over(broker, buggy).step()

    assert committed(broker) is None


def test_records_are_counted_by_outcome_once_their_batch_is_committed() -> None:
    broker = MemoryBroker()
    broker.produce(DRIFT_DETECTED, drift("a"))
    broker.append(DRIFT_DETECTED.name, b"a", b"\xff\xff", ())

    def crash() -> None:
        raise ZeroDivisionError

    loop = loop_over(broker, lambda _: None)
    loop.before_commit = crash
    before = settled()
    with pytest.raises(ZeroDivisionError):
        loop.step()
    counts = settled()
    loop_over(broker, lambda _: None).step()

    assert counts == before
    assert settled() == (before[0] + 1, before[1] + 1)


def test_a_log_line_of_a_handler_tells_the_event() -> None:
    broker = MemoryBroker()
    sent = broker.produce(DRIFT_DETECTED, drift("a"))
    lines: list[EventDict] = []

    loop_over(broker, lambda _: lines.append(with_event_id(None, "info", {}))).step()

    assert lines == [{"event_id": sent}]
    assert with_event_id(None, "info", {}) == {}


def test_a_crash_between_effect_and_commit_repeats_the_record() -> None:
    broker = MemoryBroker()
    broker.produce(DRIFT_DETECTED, drift("a"))
    seen: list[str] = []

    def crash_after_effect() -> None:
        raise ZeroDivisionError

    first = loop_over(broker, lambda delivery: seen.append(delivery.event_id))
    first.before_commit = crash_after_effect
    with pytest.raises(ZeroDivisionError):
        first.step()
    loop_over(broker, lambda delivery: seen.append(delivery.event_id)).step()

    assert len(seen) == 2
    assert seen[0] == seen[1]


def test_a_retryable_fault_is_tried_again_and_then_buried() -> None:
    broker = MemoryBroker()
    broker.produce(DRIFT_DETECTED, drift("a"))
    tries: list[int] = []

    def away(_: Delivery[DriftDetected]) -> None:
        tries.append(1)
        raise Retryable("store away")

    loop_over(broker, away).step()

    letter = broker.logs[DRIFT_DETECTED.dead_letters][0]
    assert len(tries) == len(RETRY_WAITS_S) + 1
    assert headers.get(letter.headers, headers.DLQ_CODE) == "unavailable"


def test_while_the_store_is_away_the_loop_stops_and_no_record_is_buried() -> None:
    broker = MemoryBroker()
    for name in ("a", "b"):
        broker.produce(DRIFT_DETECTED, drift(name))
    tries: list[int] = []

    def away_at_the_second(delivery: Delivery[DriftDetected]) -> None:
        if delivery.event.application == "b":
            tries.append(1)
            raise StoreAway("locked")

    with pytest.raises(Fatal, match="locked"):
        loop_over(broker, away_at_the_second).step()

    assert len(tries) == len(RETRY_WAITS_S) + 1
    assert committed(broker) is None
    assert not broker.logs[DRIFT_DETECTED.dead_letters]


def test_a_retryable_fault_that_passes_leaves_no_dead_letter() -> None:
    broker = MemoryBroker()
    broker.produce(DRIFT_DETECTED, drift("a"))
    tries: list[int] = []

    def away_once(_: Delivery[DriftDetected]) -> None:
        tries.append(1)
        if len(tries) == 1:
            raise Retryable("store away")

    loop_over(broker, away_once).step()

    assert len(tries) == 2
    assert not broker.logs[DRIFT_DETECTED.dead_letters]


def test_a_producer_that_sends_no_event_id_gets_one_that_a_redelivery_repeats() -> None:
    broker = MemoryBroker()
    broker.append(DRIFT_DETECTED.name, b"a", drift("a").SerializeToString(), ())
    seen: list[str] = []

    loop_over(broker, lambda delivery: seen.append(delivery.event_id)).step()

    assert seen == [f"{DRIFT_DETECTED.name}/0/0"]


def test_json_is_read_by_its_content_type() -> None:
    broker = MemoryBroker()
    head = ((headers.CONTENT_TYPE, b"application/json"),)
    broker.append(DRIFT_DETECTED.name, b"a", b'{"application": "a", "atEvent": "7"}', head)
    seen: list[int] = []

    loop_over(broker, lambda delivery: seen.append(delivery.event.at_event)).step()

    assert seen == [7]


def test_an_oversize_event_is_refused_before_it_is_sent() -> None:
    sink = MemoryBroker().sink()
    event = FEEDBACK_JOINED.event(application="a", answer="x" * 300_000)

    with pytest.raises(Poison, match="artifact store") as refused:
        sink.send(FEEDBACK_JOINED, event)

    assert refused.value.code == "oversize"
