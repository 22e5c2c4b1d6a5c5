import asyncio

from libs.faults import Retryable
from services.inference.handlers.strays import Strays
from tests.unit.services.inference.fakes import FakeGenerator, FakeHost, eventually

OURS, LEFT = "ab" * 32, "cd" * 32


async def test_an_engine_that_nobody_attends_is_unloaded_and_the_others_stay() -> None:
    host = FakeHost(FakeGenerator(engines={OURS, LEFT}))

    await Strays(host, lambda: [OURS]).unload()

    assert host.unloads == [LEFT[:16]]


async def test_nothing_is_unloaded_before_it_is_known_what_is_routed() -> None:
    host = FakeHost(FakeGenerator(engines={LEFT}))

    await Strays(host, lambda: None).unload()

    assert host.unloads == []


async def test_a_triton_that_is_away_is_asked_again() -> None:
    host = FakeHost(FakeGenerator(engines={LEFT}), failures=[Retryable("triton is away")])
    stop = asyncio.Event()
    serving = asyncio.create_task(Strays(host, list, every_s=0.01).serve(stop))

    await eventually(lambda: LEFT[:16] in host.unloads, "the unload")
    stop.set()
    await serving
