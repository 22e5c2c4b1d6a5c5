"""The handlers over in-memory twins: a dict for the table, MemoryBroker for Kafka."""

from dataclasses import dataclass, field
from datetime import timedelta

import pytest

from libs.events import headers
from libs.events.delivery import Delivery
from libs.events.topics import FEEDBACK_GIVEN, FEEDBACK_JOINED, GENERATION_SERVED
from libs.faults import Poison
from libs.kafka.memory import MemoryBroker, MemorySink
from libs.runtime.clock import ManualClock
from protos.feedback.v1.feedback_events_pb2 import FeedbackGiven
from protos.feedback.v1.feedback_service_pb2 import GiveRequest
from protos.inference.v1.inference_events_pb2 import GenerationServed
from services.feedback.adapters import AnnounceOnKafka, GiveOnKafka, RefuseOnKafka, TableSlots
from services.feedback.domain import Limits
from services.feedback.handlers import GiveFeedback, Join, Sweep
from tests.unit.services.feedback.fakes import ID, given, served


@dataclass
class Bench:
    """The join with its state, as one process has it."""

    broker: MemoryBroker = field(default_factory=MemoryBroker)
    table: dict[str, bytes] = field(default_factory=dict)
    clock: ManualClock = field(default_factory=ManualClock)
    slots: TableSlots = field(init=False)
    sink: MemorySink = field(init=False)
    limits: Limits = field(
        default_factory=lambda: Limits(timedelta(days=7), timedelta(hours=1), 100, 10**6)
    )

    def __post_init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        """A new process on the same table: all that was not kept is gone."""
        self.slots = TableSlots(self.table)
        self.slots.recovered()
        self.sink = self.broker.sink()

    def take(self, event: FeedbackGiven | GenerationServed, offset: int = 0) -> None:
        join = Join(self.slots, AnnounceOnKafka(self.sink), RefuseOnKafka(self.sink))
        at = self.clock.now()
        if isinstance(event, FeedbackGiven):
            join(Delivery(FEEDBACK_GIVEN, event, "id", 0, offset, at))
        else:
            join(Delivery(GENERATION_SERVED, event, "id", 0, offset, at))

    def deliver(self) -> None:
        self.sink.flush()
        self.slots.keep()

    def sweep(self) -> int:
        return Sweep(self.slots, RefuseOnKafka(self.sink), self.limits, self.clock)()

    def dead_letter_codes(self) -> list[str | None]:
        letters = self.broker.logs[FEEDBACK_GIVEN.dead_letters]
        return [headers.get(letter.headers, headers.DLQ_CODE) for letter in letters]


def test_feedback_and_answer_become_one_event_with_a_deterministic_id() -> None:
    bench, other = Bench(), Bench()

    for one in (bench, other):
        one.take(given())
        one.take(served())
        one.deliver()

    assert [event.answer for event in bench.broker.events(FEEDBACK_JOINED)] == ["So."]
    ids = [
        headers.get(one.broker.logs[FEEDBACK_JOINED.name][0].headers, headers.EVENT_ID)
        for one in (bench, other)
    ]
    assert ids[0] == ids[1]


def test_a_crash_before_the_batch_is_kept_repeats_its_outputs() -> None:
    bench = Bench()
    bench.take(given())
    bench.deliver()
    bench.take(served())
    bench.sink.flush()

    bench.restart()
    bench.take(served())
    bench.deliver()

    assert len(bench.broker.events(FEEDBACK_JOINED)) == 2


def test_a_record_read_again_after_it_was_kept_says_nothing() -> None:
    bench = Bench()
    bench.take(served())
    bench.take(given(), offset=7)
    bench.deliver()

    bench.restart()
    bench.take(given(version=1), offset=7)
    bench.deliver()

    assert len(bench.broker.events(FEEDBACK_JOINED)) == 1


def test_foreign_feedback_lands_in_the_dead_letters_as_it_was_given() -> None:
    bench = Bench()

    bench.take(served())
    bench.take(given(application="shop"))
    bench.deliver()

    assert bench.dead_letter_codes() == ["foreign_generation"]
    letter = bench.broker.logs[FEEDBACK_GIVEN.dead_letters][0]
    assert FeedbackGiven.FromString(letter.value or b"") == given(application="shop")
    assert bench.broker.events(FEEDBACK_JOINED) == []


def test_feedback_whose_answer_never_comes_is_dead_lettered_and_forgotten() -> None:
    bench = Bench()
    bench.take(given())
    bench.deliver()

    bench.clock.advance(3601)
    dropped = bench.sweep()
    bench.deliver()

    assert dropped == 1
    assert bench.dead_letter_codes() == ["no_generation"]
    assert bench.table == {}


def test_nothing_is_swept_within_its_bounds() -> None:
    bench = Bench()
    bench.take(given())
    bench.take(served())
    bench.deliver()

    bench.clock.advance(3601)

    assert bench.sweep() == 0


def test_the_oldest_answers_go_first_when_there_are_too_many() -> None:
    bench = Bench(limits=Limits(timedelta(days=7), timedelta(hours=1), 2, 10**6))
    for n in range(3):
        bench.take(served(generation_id=f"{ID[:-1]}{n}"), offset=n)
        bench.clock.advance(1)
    bench.deliver()

    bench.sweep()
    bench.deliver()

    assert sorted(bench.table) == [f"0/{ID[:-1]}1", f"0/{ID[:-1]}2"]


def test_the_bounds_hold_after_a_restart() -> None:
    bench = Bench()
    bench.take(served())
    bench.deliver()

    bench.restart()
    bench.clock.advance(8 * 24 * 3600)
    bench.sweep()
    bench.deliver()

    assert bench.table == {}


def door(broker: MemoryBroker) -> GiveFeedback:
    def application(key: str) -> str | None:
        return "bank" if key == "digest-of-bank" else None

    return GiveFeedback(application, GiveOnKafka(broker.sink()), ManualClock())


def test_the_doors_put_feedback_on_the_log_under_the_keys_application() -> None:
    broker = MemoryBroker()

    feedback_id = door(broker)(GiveRequest(generation_id=ID, rating=1.0), "digest-of-bank")

    events = broker.events(FEEDBACK_GIVEN)
    assert [(one.application, one.feedback_id) for one in events] == [("bank", feedback_id)]


@pytest.mark.parametrize("key", [None, "unknown"])
def test_without_a_known_key_nothing_is_taken(key: str | None) -> None:
    broker = MemoryBroker()

    with pytest.raises(Poison) as refusal:
        door(broker)(GiveRequest(generation_id=ID, rating=1.0), key)

    assert refusal.value.code == "unauthenticated"
    assert broker.events(FEEDBACK_GIVEN) == []
