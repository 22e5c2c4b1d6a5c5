"""The guarded agent: settled or buried, delivered, kept, then acked; else the process ends."""

import asyncio
import threading
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any, NoReturn

import pytest

from libs.events import headers
from libs.events.delivery import Delivery
from libs.events.topics import FEEDBACK_GIVEN
from libs.faults import Fatal, Poison, Retryable
from libs.kafka.consumer import Route
from libs.kafka.memory import MemoryBroker, MemorySink
from libs.kafka.record import Record
from libs.streams.agent import GuardedAgent, Settlement, record_of
from protos.feedback.v1.feedback_events_pb2 import FeedbackGiven

EVENT = FeedbackGiven(feedback_id="f", application="bank", generation_id="g")
RECORD = Record(FEEDBACK_GIVEN.name, 1, 5, b"bank", EVENT.SerializeToString(), (), 1)


@dataclass
class Stream:
    """What the agent uses of a faust stream, over a list of messages."""

    messages: list[Record]
    acked: list[int] = field(default_factory=list)
    left: list[Record] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.left = list(self.messages)
        self.channel = SimpleNamespace(queue=SimpleNamespace(empty=lambda: not self.left))

    def noack(self) -> "Stream":
        return self

    async def events(self) -> Any:
        while self.left:
            record = self.left.pop(0)
            yield SimpleNamespace(
                message=SimpleNamespace(
                    topic=record.topic,
                    partition=record.partition,
                    offset=record.offset,
                    key=record.key,
                    value=record.value,
                    headers=dict(record.headers),
                    timestamp=1.5,
                )
            )

    async def ack(self, event: Any) -> None:
        self.acked.append(event.message.offset)


class DeadSink(MemorySink):
    def flush(self) -> None:
        raise Retryable("the broker is away")


class Died(Exception):
    pass


def die() -> NoReturn:
    raise Died


def settlement(handler: Any, sink: MemorySink, kept: list[str] | None = None) -> Settlement:
    log: list[str] = [] if kept is None else kept

    async def keep() -> None:
        log.append("kept")

    return Settlement([Route(FEEDBACK_GIVEN, handler)], sink, keep)


def ignore(delivery: Delivery[FeedbackGiven]) -> None:
    pass


def bug(delivery: Delivery[FeedbackGiven]) -> None:
    raise KeyError("no such thing")


def poison(delivery: Delivery[FeedbackGiven]) -> None:
    raise Poison("rotten", code="bad_feedback")


async def test_a_batch_is_kept_once_and_then_acked() -> None:
    kept: list[str] = []
    stream = Stream([replace(RECORD, offset=n) for n in range(3)])

    await GuardedAgent(settlement(ignore, MemoryBroker().sink(), kept), die)(stream)

    assert kept == ["kept"]
    assert stream.acked == [0, 1, 2]


@pytest.mark.parametrize(
    ("handler", "value", "code"),
    [
        (bug, RECORD.value, "bug"),
        (poison, RECORD.value, "bad_feedback"),
        (ignore, b"\xff\xff", "undecodable"),
        (ignore, None, "undecodable"),
    ],
)
async def test_what_cannot_be_handled_is_buried_with_its_code_and_acked(
    handler: Any, value: bytes | None, code: str
) -> None:
    broker = MemoryBroker()
    stream = Stream([replace(RECORD, value=value)])

    await GuardedAgent(settlement(handler, broker.sink()), die)(stream)

    letters = broker.logs[FEEDBACK_GIVEN.dead_letters]
    assert [headers.get(one.headers, headers.DLQ_CODE) for one in letters] == [code]
    assert letters[0].value == (value or b"")
    assert stream.acked == [5]


async def test_the_process_ends_and_nothing_is_acked_when_the_grave_is_closed() -> None:
    kept: list[str] = []
    stream = Stream([RECORD])

    with pytest.raises(Died):
        await GuardedAgent(settlement(bug, DeadSink(MemoryBroker()), kept), die)(stream)

    assert (stream.acked, kept) == ([], [])


async def test_the_process_ends_when_state_cannot_be_kept() -> None:
    stream = Stream([RECORD])
    broken = Settlement([Route(FEEDBACK_GIVEN, ignore)], MemoryBroker().sink(), _no_space)

    with pytest.raises(Died):
        await GuardedAgent(broken, die)(stream)

    assert stream.acked == []


async def test_a_retryable_handler_is_never_buried() -> None:
    def full(delivery: Delivery[FeedbackGiven]) -> None:
        raise Retryable("queue full")

    broker = MemoryBroker()

    with pytest.raises(Fatal):
        settlement(full, broker.sink()).settle(RECORD)

    assert broker.logs[FEEDBACK_GIVEN.dead_letters] == []


async def test_a_sweep_waits_for_the_batch_that_is_being_settled() -> None:
    order: list[str] = []
    shared = settlement(lambda _: order.append("settled"), MemoryBroker().sink(), order)
    async with shared.lock:
        agent = asyncio.create_task(GuardedAgent(shared, die)(Stream([RECORD])))
        await asyncio.sleep(0)
        order.append("swept")

    await agent

    assert order == ["swept", "settled", "kept"]


async def test_the_thread_that_sends_is_the_thread_that_flushes() -> None:
    threads: list[int] = []

    class Noting(MemorySink):
        def flush(self) -> None:
            threads.append(threading.get_ident())

    handled = settlement(lambda _: threads.append(threading.get_ident()), Noting(MemoryBroker()))

    await GuardedAgent(handled, die)(Stream([RECORD]))
    await handled.deliver(lambda: threads.append(threading.get_ident()))

    assert len(threads) == 4
    assert len(set(threads)) == 1


def test_a_message_becomes_a_record_with_milliseconds() -> None:
    message = SimpleNamespace(
        topic="t", partition=1, offset=2, key=None, value=None, headers=None, timestamp=1.5
    )

    assert record_of(message) == Record("t", 1, 2, None, None, (), 1500)


async def _no_space() -> None:
    raise OSError("no space left")
