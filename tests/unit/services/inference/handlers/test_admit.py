import asyncio
import gc
from dataclasses import dataclass, field

import pytest

from libs.faults import Poison
from libs.runtime.clock import ManualClock, SystemClock
from services.inference.domain.admission import Admission, Priority
from services.inference.domain.serving import Limits, Serving
from services.inference.handlers.admit import Admit, Seat, priority_of
from services.inference.ports import EngineFailed, Overloaded
from tests.unit.services.inference.fakes import ask, table


def limited(**changes: float) -> Serving:
    values = {"concurrency": 1, "queue": 4, "max_wait_s": 5.0} | changes
    return Serving(limits=Limits(**values))  # type: ignore[arg-type]  # whole numbers where needed


@dataclass
class World:
    admission: Admission = field(default_factory=lambda: Admission(8))
    admit: Admit = field(init=False)

    def __post_init__(self) -> None:
        self.admit = Admit(self.admission, SystemClock())

    async def seat(self, priority: str = "normal", budget_s: float = 5.0, **limits: float) -> Seat:
        priority_ = priority_of(ask(labels={"priority": priority}))
        return await self.admit.seat(table(serving=limited(**limits)), priority_, budget_s)

    async def waiting(self, priority: str = "normal", **limits: float) -> "asyncio.Task[Seat]":
        task = asyncio.create_task(self.seat(priority, **limits))
        await asyncio.sleep(0)
        return task


async def test_a_place_that_falls_free_is_given_to_the_one_that_waits() -> None:
    world = World()
    first = await world.seat()
    low, high = await world.waiting("low"), await world.waiting("high")

    first.leave()
    first.leave()

    seat = await high
    assert seat.queue_s > 0
    assert not low.done()
    seat.leave()
    (await low).leave()
    assert world.admission.under_way == 0


async def test_the_lowest_class_is_sent_away_first() -> None:
    world = World()
    first = await world.seat(queue=1)
    low = await world.waiting("low", queue=1)

    high = await world.waiting("high", queue=1)

    with pytest.raises(Overloaded):
        await low
    first.leave()
    (await high).leave()
    assert world.admission.under_way == 0


async def test_who_waited_for_the_longest_time_is_sent_away_with_a_time_to_come_again() -> None:
    world = World()
    held = await world.seat()

    with pytest.raises(Overloaded) as refusal:
        await world.seat(max_wait_s=0.01)

    assert refusal.value.after_s >= 1.0
    assert world.admission.waiting() == 0
    held.leave()


async def test_the_callers_deadline_ends_the_wait_as_a_deadline() -> None:
    world = World()
    held = await world.seat()

    with pytest.raises(EngineFailed) as failure:
        await world.seat(budget_s=0.01)

    assert failure.value.code == "deadline"
    held.leave()


async def test_a_caller_that_leaves_the_queue_costs_no_place() -> None:
    world = World()
    held = await world.seat()
    gone, patient = await world.waiting(), await world.waiting()

    gone.cancel()
    held.leave()

    (await patient).leave()
    assert (world.admission.under_way, world.admission.waiting()) == (0, 0)


async def test_a_caller_that_leaves_as_its_turn_comes_passes_it_on() -> None:
    world = World()
    held = await world.seat()
    gone, patient = await world.waiting(), await world.waiting()

    held.leave()
    gone.cancel()

    (await patient).leave()
    assert world.admission.under_way == 0


async def test_a_place_that_nobody_uses_falls_free() -> None:
    world = World()

    seat = await world.seat()
    del seat
    gc.collect()

    assert world.admission.under_way == 0


async def test_tokens_come_back_by_time_alone() -> None:
    world = World()
    seat = await world.seat(tokens_per_s=1000.0, burst_tokens=10.0)
    seat.tokens = 20
    seat.leave()

    later = await world.seat(tokens_per_s=1000.0, burst_tokens=10.0)

    assert later.queue_s > 0.005
    later.leave()


async def test_a_place_is_held_for_as_long_as_the_clock_says() -> None:
    clock = ManualClock()
    admit = Admit(Admission(1), clock)
    seat = await admit.seat(table(), Priority.NORMAL, 5.0)
    clock.advance(11.0)

    seat.leave()

    assert admit.admission.lanes["support"].mean_s == pytest.approx(2.0)


async def test_several_places_that_nobody_waits_for_any_longer_are_given_to_the_next() -> None:
    world = World()
    held = await world.seat(concurrency=3)
    serving = limited(concurrency=3)
    wide = asyncio.create_task(world.admit.seats(table(serving=serving), Priority.NORMAL, 5.0, 3))
    await asyncio.sleep(0)
    narrow = await world.waiting(concurrency=3)
    assert not narrow.done()

    wide.cancel()

    (await narrow).leave()
    held.leave()
    assert (world.admission.under_way, world.admission.waiting()) == (0, 0)


async def test_each_of_several_places_is_given_back_by_itself() -> None:
    world = World()
    seats = await world.admit.seats(table(serving=limited(concurrency=2)), Priority.NORMAL, 5.0, 2)
    next_ = await world.waiting(concurrency=2)

    seats[0].leave()

    (await next_).leave()
    assert world.admission.under_way == 1
    seats[1].leave()


async def test_more_places_than_there_are_is_refused_by_name() -> None:
    world = World()

    with pytest.raises(Poison) as refusal:
        await world.admit.seats(table(serving=limited()), Priority.NORMAL, 5.0, 2)

    assert (refusal.value.code, refusal.value.param) == ("invalid_value", "n")
