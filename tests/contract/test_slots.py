"""One suite, two stores of feedback's join: the twin, and SQL on both engines."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import timedelta

import pytest

from libs.events.topics import FEEDBACK_GIVEN, FEEDBACK_JOINED
from libs.kafka.memory import MemoryBroker
from libs.sql.engine import connect
from libs.sql.migrate import upgrade
from libs.sql.relay import OutboxRelay
from services.feedback import wire
from services.feedback.adapters.sql import OUTBOX, SqlSlots
from services.feedback.domain import Code, Joined, Refused, Slot, Totals
from services.feedback.ports import Place, Slots
from tests.unit.services.feedback.fakes import NOON, MemorySlots, given, served

GENERATION, FEEDBACK = wire.generation_of(served()), wire.feedback_of(given())
HERE = 3


@dataclass
class Store:
    slots: Slots
    broker: MemoryBroker
    relay: Callable[[], object] = int

    def put(self, *numbers: int, answered: bool = True, partition: int = HERE) -> None:
        """Slots that were opened ``number`` minutes before noon."""
        with self.slots.begin([partition]) as work:
            work.find([place(number, partition) for number in numbers])
            work.put({place(number, partition): slot(number, answered) for number in numbers})

    def found(self, *numbers: int, partition: int = HERE) -> dict[Place, Slot]:
        with self.slots.begin([partition]) as work:
            return work.find([place(number, partition) for number in numbers])

    def said(self) -> list[int]:
        """How many joined events and how many dead letters."""
        self.relay()
        return [
            len(self.broker.logs[name])
            for name in (FEEDBACK_JOINED.name, FEEDBACK_GIVEN.dead_letters)
        ]


def place(number: int, partition: int = HERE) -> Place:
    return Place(partition, f"0190a000-0000-7000-8000-{number:012}")


def slot(number: int, answered: bool = True) -> Slot:
    opened_at = NOON - timedelta(minutes=number)
    return Slot(opened_at, GENERATION if answered else None, versions={"bank/f": number})


class SlotsContract:
    def test_what_was_put_is_found_and_can_be_changed(self, store: Store) -> None:
        store.put(1, 2)
        changed = replace(slot(1), versions={"bank/f": 9})
        with store.slots.begin([HERE]) as work:
            work.find([place(1)])
            work.put({place(1): changed})

        assert store.found(1, 2, 3) == {place(1): changed, place(2): slot(2)}

    def test_a_generation_id_has_a_slot_in_each_partition(self, store: Store) -> None:
        store.put(1)
        store.put(1, partition=0, answered=False)
        with store.slots.begin([0, HERE]) as work:
            found = work.find([place(1, 0), place(1)])

        assert found == {place(1, 0): slot(1, answered=False), place(1): slot(1)}
        assert store.slots.partitions() == [0, HERE]

    def test_a_work_that_fails_leaves_no_slot_and_no_event(self, store: Store) -> None:
        def fail() -> None:
            with store.slots.begin([HERE]) as work:
                work.find([place(1)])
                work.put({place(1): slot(1)})
                work.say([Joined(FEEDBACK, GENERATION)])
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            fail()

        assert (store.found(1), store.said()) == ({}, [0, 0])
        with store.slots.begin([HERE]) as work:
            assert work.totals(HERE) == Totals(0, 0)

    def test_what_is_said_goes_out_once(self, store: Store) -> None:
        with store.slots.begin([HERE]) as work:
            work.say([Joined(FEEDBACK, GENERATION), Refused(FEEDBACK, Code.MISSING, "late")])

        assert store.said() == store.said() == [1, 1]

    def test_slots_are_listed_by_age(self, store: Store) -> None:
        store.put(1, 5, 3)
        store.put(4, 2, answered=False)
        store.put(6, partition=0)

        with store.slots.begin([HERE]) as work:
            oldest, waiting = work.oldest(HERE), work.waiting(HERE)

        ages = [(NOON - one.opened_at) / timedelta(minutes=1) for one in oldest]
        assert ages == [5, 4, 3, 2, 1]
        assert [one.answered for one in oldest] == [True, False, True, False, True]
        assert waiting == [one for one in oldest if not one.answered]

    def test_totals_follow_what_is_put_changed_and_dropped(self, store: Store) -> None:
        store.put(1, 2, 3)
        store.put(2, answered=False)
        with store.slots.begin([HERE]) as work:
            work.drop(HERE, {place(3).generation_id: "age"})

        with store.slots.begin([HERE]) as work:
            totals, held = work.totals(HERE), work.oldest(HERE)

        sizes = [len(wire.slot_bytes(one)) for one in (slot(2, answered=False), slot(1))]
        assert [one.bytes for one in held] == sizes
        assert totals == Totals(2, sum(sizes))


class TestMemorySlots(SlotsContract):
    @pytest.fixture
    def store(self) -> Store:
        slots = MemorySlots()
        return Store(slots, slots.broker)


class TestSqlSlots(SlotsContract):
    @pytest.fixture
    def store(self, sql_url: str) -> Iterator[Store]:
        engine, broker = connect(sql_url), MemoryBroker()
        upgrade(engine, "services.feedback")
        yield Store(SqlSlots(engine), broker, OutboxRelay(engine, OUTBOX, broker.sink()).step)
        engine.dispose()
