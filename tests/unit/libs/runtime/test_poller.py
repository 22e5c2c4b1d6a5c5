"""A poller looks again at once after work, later after none, and bears a store that is away."""

import asyncio

import pytest

from libs.faults import Retryable
from libs.runtime.poller import Poller, on_thread


async def test_what_was_away_makes_it_unready_until_a_look_succeeds() -> None:
    stop = asyncio.Event()
    said: list[str | None] = []

    async def look(stopping: asyncio.Event) -> bool:
        said.append(poller.unready())
        if len(said) == 1:
            raise Retryable("the store is away", after_s=0.001)
        if len(said) == 3:
            stopping.set()
        return True

    poller = Poller("poller", look, 3600, "jobs wait")

    await asyncio.wait_for(poller.serve(stop), 10)

    assert said == [None, "jobs wait: the store is away", None]


async def test_a_stop_ends_the_pause() -> None:
    stop, looked = asyncio.Event(), asyncio.Event()

    async def look(_: asyncio.Event) -> bool:
        looked.set()
        return False

    serving = asyncio.create_task(Poller("poller", look, 3600, "jobs wait").serve(stop))
    await looked.wait()

    stop.set()

    await asyncio.wait_for(serving, 10)


async def test_a_bug_stops_it() -> None:
    def look() -> int:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await Poller("poller", on_thread(look), 3600, "jobs wait").serve(asyncio.Event())
