import asyncio
from dataclasses import dataclass, field
from pathlib import Path

from libs.events.topics import ROUTING
from libs.kafka.table import MemoryTable
from libs.rpc.auth import digest
from protos.registry.v1.registry_events_pb2 import RoutingTable
from services.inference.adapters.routing import CachedRouting
from tests.unit.services.inference.fakes import KEY, eventually, routing_event

KEY_HASH = digest(f"{KEY}-support")


@dataclass
class World:
    directory: Path
    source: MemoryTable[RoutingTable] = field(default_factory=lambda: MemoryTable(ROUTING))
    caught_up: bool = True

    def routing(self) -> CachedRouting:
        return CachedRouting(self.source, lambda: self.caught_up, self.directory)


def test_a_table_is_found_by_the_digest_of_a_key(tmp_path: Path) -> None:
    world = World(tmp_path)
    routing = world.routing()

    world.source.put(routing_event())

    found = routing.find(KEY_HASH)
    assert found is not None
    assert found.application == "support"
    assert routing.find("0" * 64) is None


def test_a_start_without_kafka_serves_the_last_tables(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.routing()
    world.source.put(routing_event(version=7))

    later = World(tmp_path, caught_up=False).routing()

    found = later.find(KEY_HASH)
    assert found is not None
    assert found.version == 7
    assert later.unready() is None


def test_without_cache_and_without_kafka_it_is_not_ready(tmp_path: Path) -> None:
    assert World(tmp_path, caught_up=False).routing().unready() is not None


def test_old_tables_read_while_catching_up_are_not_served(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.routing()
    world.source.put(routing_event(version=7))
    later = World(tmp_path, caught_up=False)
    routing = later.routing()

    later.source.put(routing_event(version=3))

    found = routing.find(KEY_HASH)
    assert found is not None
    assert found.version == 7


async def test_once_read_the_topic_is_the_truth(tmp_path: Path) -> None:
    first = World(tmp_path)
    first.routing()
    first.source.put(routing_event("support", version=7))
    first.source.put(routing_event("gone"))
    later = World(tmp_path, caught_up=False)
    routing = later.routing()
    changes: list[int] = []
    routing.on_change(lambda: changes.append(1))
    stop = asyncio.Event()
    serving = asyncio.create_task(routing.serve(stop, poll_s=0.005))

    later.source.put(routing_event("support", version=8))
    later.caught_up = True
    await eventually(lambda: bool(changes) and len(routing.tables()) == 1, "the topic's tables")
    stop.set()
    await serving

    assert [(t.application, t.version) for t in routing.tables()] == [("support", 8)]
    assert [table.version for table in World(tmp_path, caught_up=False).routing().tables()] == [8]


def test_a_table_that_makes_no_sense_leaves_the_old_one_in_force(tmp_path: Path) -> None:
    world = World(tmp_path)
    routing = world.routing()
    world.source.put(routing_event(version=1))
    bad = routing_event(version=2)
    bad.routes[0].share = 7.0

    world.source.put(bad)

    assert [table.version for table in routing.tables()] == [1]


def test_a_removed_application_is_forgotten(tmp_path: Path) -> None:
    world = World(tmp_path)
    routing = world.routing()
    world.source.put(routing_event())

    world.source.remove("support")

    assert routing.tables() == []
    assert list(tmp_path.iterdir()) == []


def test_an_unreadable_cache_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "support.routing").write_bytes(b"\xff\xff\xff")

    assert World(tmp_path, caught_up=False).routing().tables() == []


def test_a_cache_that_another_process_keeps_is_read_only(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.routing()
    world.source.put(routing_event(version=7))
    source: MemoryTable[RoutingTable] = MemoryTable(ROUTING)
    reader = CachedRouting(source, lambda: True, tmp_path, kept=False)
    [cached] = reader.tables()

    source.put(routing_event(version=8))
    source.remove("support")

    assert cached.version == 7
    assert reader.tables() == []
    [kept] = World(tmp_path, caught_up=False).routing().tables()
    assert kept.version == 7
