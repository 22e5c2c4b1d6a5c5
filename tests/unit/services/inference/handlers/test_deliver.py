import asyncio
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from libs.events.headers import Headers
from libs.events.topics import GENERATION_SERVED, E, Topic
from libs.faults import Retryable
from libs.kafka.memory import MemoryBroker
from libs.runtime.clock import ManualClock
from protos.inference.v1.inference_events_pb2 import GenerationServed
from protos.registry.v1.registry_events_pb2 import ROLE_CHAMPION, ROLE_SHADOW
from services.inference.adapters.journal import SpoolJournal
from services.inference.adapters.spool import Spool
from services.inference.handlers.deliver import Deliver
from tests.unit.services.inference.fakes import FakeEmbedder, eventually


@dataclass
class MoodySink:
    """A sink whose broker may be away."""

    broker: MemoryBroker
    away: bool = False
    ids: list[str] = field(default_factory=list)

    def send(self, topic: Topic[E], event: E, *, event_id: str | None = None) -> str:
        assert event_id is not None
        if self.away:
            return event_id
        self.ids.append(event_id)
        return self.broker.produce(topic, event, event_id=event_id)

    def send_raw(self, topic: str, key: bytes | None, value: bytes, headers: Headers) -> None:
        raise NotImplementedError

    def flush(self) -> None:
        if self.away:
            raise Retryable("kafka is away")


class World:
    def __init__(self, directory: Path) -> None:
        self.spool = Spool(directory, 100 * 1024 * 1024)
        self.broker = MemoryBroker()
        self.sink = MoodySink(self.broker)
        self.embedder = FakeEmbedder()
        self.clock = ManualClock()
        self.deliver = Deliver(self.spool, self.sink, self.embedder, self.clock)
        self.journal = SpoolJournal(self.spool, self.deliver.wake)

    def served(self, number: int, **changes: object) -> None:
        values: dict[str, object] = {
            "generation_id": str(number),
            "application": "support",
            "prompt": "x" * (number + 1),
            "role": ROLE_CHAMPION,
        }
        event = GenerationServed(**(values | changes))  # type: ignore[arg-type]
        self.journal.append(GENERATION_SERVED, event)

    @property
    def events(self) -> list[GenerationServed]:
        return self.broker.events(GENERATION_SERVED)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


async def test_events_arrive_in_order_with_the_embedding_of_their_prompt(world: World) -> None:
    for number in range(3):
        world.served(number)

    await world.deliver.step()

    assert [event.generation_id for event in world.events] == ["0", "1", "2"]
    rows = [np.frombuffer(event.embedding, "<f2").tolist() for event in world.events]
    assert rows == [[1.0, 0.5, -1.0], [2.0, 0.5, -1.0], [3.0, 0.5, -1.0]]


async def test_a_batch_that_kafka_refused_is_sent_again_under_the_same_ids(world: World) -> None:
    world.served(0)
    world.sink.away = True
    with pytest.raises(Retryable):
        await world.deliver.step()
    kept = world.spool.read(1)[0][0].event_id

    world.sink.away = False
    await world.deliver.step()

    assert world.sink.ids == [kept]
    assert await world.deliver.step() == 0


async def test_a_batch_that_waits_for_kafka_is_embedded_once(world: World) -> None:
    world.served(0)
    world.sink.away = True
    for _ in range(3):
        with pytest.raises(Retryable):
            await world.deliver.step()

    world.sink.away = False
    await world.deliver.step()

    assert world.embedder.calls == 1
    assert np.frombuffer(world.events[0].embedding, "<f2").tolist() == [1.0, 0.5, -1.0]


async def test_without_the_embedder_events_go_without_embedding_and_it_rests(
    world: World,
) -> None:
    world.embedder.away = True
    for number in range(3):
        world.served(number)
        await world.deliver.step()

    assert world.embedder.calls == 1
    assert [event.embedding for event in world.events] == [b"", b"", b""]

    world.embedder.away = False
    world.clock.advance(11)
    world.served(3)
    await world.deliver.step()

    assert world.events[3].embedding != b""


async def test_a_mirror_carries_no_embedding(world: World) -> None:
    world.served(0, role=ROLE_SHADOW)

    await world.deliver.step()

    assert world.events[0].embedding == b""
    assert world.embedder.calls == 0


async def test_far_behind_the_embeddings_are_left_out(world: World) -> None:
    for number in range(50):
        world.served(number, answer="y" * 50_000)

    await world.deliver.step()

    assert len(world.events) == 50
    assert world.embedder.calls == 0


async def test_serving_delivers_what_is_appended_and_what_kafka_missed(world: World) -> None:
    stop = asyncio.Event()
    world.sink.away = True
    serving = asyncio.create_task(world.deliver.serve(stop))
    world.served(0)
    await eventually(lambda: world.deliver.failures > 0, "a failed try")
    world.served(1)
    world.sink.away = False

    await eventually(lambda: len(world.events) == 2, "both events")
    stop.set()
    await serving

    assert [event.generation_id for event in world.events] == ["0", "1"]
    assert world.spool.pending_bytes() == 0


async def test_what_is_left_at_the_end_is_delivered_before_leaving(world: World) -> None:
    world.served(0)

    await world.deliver.finish(5.0)

    assert len(world.events) == 1
