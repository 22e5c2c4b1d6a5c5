"""Parts that wait for their turn."""

import asyncio

from libs.runtime.late import Late
from tests.unit.libs.runtime.witness import Witness


async def test_late_parts_are_entered_when_nothing_is_in_their_way_and_left_with_the_service() -> (
    None
):
    diary: list[str] = []
    reasons = ["loading", "loading"]
    stop = asyncio.Event()

    async with Late([Witness("door", diary)], lambda: reasons.pop() if reasons else None) as late:
        serving = asyncio.create_task(late.serve(stop))
        await asyncio.sleep(0)
        assert late.unready() == "closed"
        async with asyncio.timeout(10):
            while late.unready() is not None:  # noqa: ASYNC110 - no event to wait for
                await asyncio.sleep(0.01)
        assert diary == ["enter door"]
        stop.set()
        await serving

    assert diary == ["enter door", "drained door", "exit door"]


async def test_parts_that_never_had_their_turn_are_not_entered() -> None:
    diary: list[str] = []
    stop = asyncio.Event()
    stop.set()

    async with Late([Witness("door", diary)], lambda: "loading") as late:
        await late.serve(stop)

    assert diary == []
