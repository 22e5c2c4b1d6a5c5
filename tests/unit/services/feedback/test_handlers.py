"""The handlers over the in-memory twins of store and broker."""

import threading
from dataclasses import dataclass, field
from datetime import timedelta

import pytest

from libs.events import headers
from libs.events.delivery import Delivery
from libs.events.topics import FEEDBACK_GIVEN, FEEDBACK_JOINED, GENERATION_SERVED
from libs.faults import Poison, Retryable
from libs.kafka.memory import MemoryBroker
from libs.runtime.clock import ManualClock
from protos.feedback.v1.feedback_events_pb2 import FeedbackGiven
from protos.feedback.v1.feedback_service_pb2 import GiveRequest
from protos.inference.v1.inference_events_pb2 import GenerationServed
from services.feedback.adapters.doors import GiveOnKafka
from services.feedback.domain import WAITING_PER_SLOT, Feedback, Limits
from services.feedback.handlers import GiveFeedback, Join, Sweep
from tests.unit.services.feedback.fakes import ID, MemorySlots, given, served


@dataclass
class Bench:
    """The join with its state, as one process has it."""

    slots: MemorySlots = field(default_factory=MemorySlots)
    clock: ManualClock = field(default_factory=ManualClock)
    limits: Limits = field(
        default_factory=lambda: Limits(timedelta(days=7), timedelta(hours=1), 100, 10**6)
    )
    join: Join = field(init=False)

    def __post_init__(self) -> None:
        self.restart()

    @property
    def broker(self) -> MemoryBroker:
        return self.slots.broker

    def restart(self) -> None:
        """A new process on the same store: all that was not settled is gone."""
        self.join = Join(self.slots)

    def take(self, event: FeedbackGiven | GenerationServed, offset: int = 0) -> None:
        at = self.clock.now()
        if isinstance(event, FeedbackGiven):
            self.join(Delivery(FEEDBACK_GIVEN, event, "id", 0, offset, at))
        else:
            self.join(Delivery(GENERATION_SERVED, event, "id", 0, offset, at))

    def sweep(self) -> int:
        return Sweep(self.slots, self.limits, self.clock)()

    def kept(self) -> list[str]:
        return sorted(place.generation_id for place in self.slots.kept)

    def dead_letter_codes(self) -> list[str | None]:
        letters = self.broker.logs[FEEDBACK_GIVEN.dead_letters]
        return [headers.get(letter.headers, headers.DLQ_CODE) for letter in letters]


def test_feedback_and_answer_become_one_event_with_a_deterministic_id() -> None:
    bench, other = Bench(), Bench()

    for one in (bench, other):
        one.take(given())
        one.take(served())
        one.join.settle()

    assert [event.answer for event in bench.broker.events(FEEDBACK_JOINED)] == ["So."]
    ids = [
        headers.get(one.broker.logs[FEEDBACK_JOINED.name][0].headers, headers.EVENT_ID)
        for one in (bench, other)
    ]
    assert ids[0] == ids[1]


def test_a_crash_before_the_batch_is_settled_leaves_nothing_and_loses_nothing() -> None:
    bench = Bench()
    bench.take(given())
    bench.take(served())

    bench.restart()
    assert bench.broker.events(FEEDBACK_JOINED) == []
    bench.take(given())
    bench.take(served())
    bench.join.settle()

    assert len(bench.broker.events(FEEDBACK_JOINED)) == 1


def test_a_batch_that_is_read_again_changes_nothing() -> None:
    bench = Bench()
    crowd = [FeedbackGiven() for _ in range(WAITING_PER_SLOT + 1)]
    for number, one in enumerate(crowd):
        one.CopyFrom(given())
        one.feedback_id = f"f{number}"
    for _ in range(2):
        for offset, one in enumerate(crowd):
            bench.take(one, offset)
        bench.join.settle()
        bench.restart()

    assert bench.dead_letter_codes() == ["too_much_feedback"]


def test_a_store_that_was_away_settles_the_same_batch_later() -> None:
    bench = Bench()
    bench.take(served())
    bench.take(given())
    bench.slots.away = True
    with pytest.raises(Retryable):
        bench.join.settle()

    bench.slots.away = False
    bench.join.settle()
    bench.join.settle()

    assert len(bench.broker.events(FEEDBACK_JOINED)) == 1


def test_a_joined_event_that_is_too_large_is_refused() -> None:
    bench, large = Bench(), served()
    large.prompt = "x" * 250_000
    bench.take(large)
    corrected = given()
    corrected.correction = "y" * 60_000
    bench.take(corrected)

    bench.join.settle()

    assert bench.dead_letter_codes() == ["oversize"]
    assert bench.broker.events(FEEDBACK_JOINED) == []


def test_foreign_feedback_lands_in_the_dead_letters_as_it_was_given() -> None:
    bench = Bench()

    bench.take(served())
    bench.take(given(application="shop"))
    bench.join.settle()

    assert bench.dead_letter_codes() == ["foreign_generation"]
    letter = bench.broker.logs[FEEDBACK_GIVEN.dead_letters][0]
    assert FeedbackGiven.FromString(letter.value or b"") == given(application="shop")
    assert bench.broker.events(FEEDBACK_JOINED) == []


def test_feedback_whose_answer_never_comes_is_dead_lettered_and_forgotten() -> None:
    bench = Bench()
    bench.take(given())
    bench.join.settle()

    bench.clock.advance(3601)
    dropped = bench.sweep()

    assert dropped == 1
    assert bench.dead_letter_codes() == ["no_generation"]
    assert bench.kept() == []


def test_nothing_is_swept_within_its_bounds() -> None:
    bench = Bench()
    bench.take(given())
    bench.take(served())
    bench.join.settle()

    bench.clock.advance(3601)

    assert bench.sweep() == 0


def test_the_oldest_answers_go_first_when_there_are_too_many() -> None:
    bench = Bench(limits=Limits(timedelta(days=7), timedelta(hours=1), 2, 10**6))
    for n in range(3):
        bench.take(served(generation_id=f"{ID[:-1]}{n}"), offset=n)
        bench.clock.advance(1)
    bench.join.settle()

    bench.sweep()

    assert bench.kept() == [f"{ID[:-1]}1", f"{ID[:-1]}2"]


def door(broker: MemoryBroker) -> GiveFeedback:
    def application(key: str) -> str | None:
        return "bank" if key == "digest-of-bank" else None

    return GiveFeedback(application, GiveOnKafka(broker.sink()), ManualClock())


async def test_the_doors_put_feedback_on_the_log_under_the_keys_application() -> None:
    broker = MemoryBroker()

    feedback_id = await door(broker)(GiveRequest(generation_id=ID, rating=1.0), "digest-of-bank")

    events = broker.events(FEEDBACK_GIVEN)
    assert [(one.application, one.feedback_id) for one in events] == [("bank", feedback_id)]


@pytest.mark.parametrize("key", [None, "unknown"])
async def test_without_a_known_key_nothing_is_taken(key: str | None) -> None:
    broker = MemoryBroker()

    with pytest.raises(Poison) as refusal:
        await door(broker)(GiveRequest(generation_id=ID, rating=1.0), key)

    assert refusal.value.code == "unauthenticated"
    assert broker.events(FEEDBACK_GIVEN) == []


async def test_a_log_that_is_away_leaves_the_caller_the_id_for_a_repeat() -> None:
    asked: list[Feedback] = []

    def give(feedback: Feedback) -> None:
        asked.append(feedback)
        raise Retryable("1 unacknowledged")

    with pytest.raises(Retryable) as failure:
        await GiveFeedback(lambda _: "bank", give, ManualClock())(
            GiveRequest(generation_id=ID, rating=1.0), "digest-of-bank"
        )

    assert str(failure.value).endswith(f"again with feedback_id {asked[0].feedback_id!r}")


async def test_a_log_that_hangs_is_not_waited_for() -> None:
    ended = threading.Event()
    impatient = GiveFeedback(lambda _: "bank", lambda _: _wait(ended), ManualClock(), give_s=0.001)

    with pytest.raises(Retryable, match="does not answer"):
        await impatient(GiveRequest(generation_id=ID, rating=1.0), "digest-of-bank")
    ended.set()


def _wait(ended: threading.Event) -> None:
    ended.wait(10)
