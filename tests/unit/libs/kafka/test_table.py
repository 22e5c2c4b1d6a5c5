"""The newest event of each key, and finding it by what it names."""

from libs.events.topics import ROUTING
from libs.kafka.table import MemoryTable
from protos.registry.v1.registry_events_pb2 import RoutingTable


def table() -> MemoryTable[RoutingTable]:
    return MemoryTable(ROUTING, index=lambda event: event.key_sha256)


def test_a_newer_event_replaces_the_older_one_and_its_index() -> None:
    routing = table()
    routing.put(RoutingTable(application="a", version=1, key_sha256=["old"]))

    routing.put(RoutingTable(application="a", version=2, key_sha256=["new"]))

    newest = routing.get("a")
    assert newest is not None
    assert newest.version == 2
    assert routing.find("old") is None
    assert routing.find("new") == newest


def test_a_removed_key_is_gone() -> None:
    routing = table()
    routing.put(RoutingTable(application="a", key_sha256=["k"]))

    routing.remove("a")

    assert routing.get("a") is None
    assert routing.find("k") is None


def test_changes_are_told() -> None:
    routing = table()
    told: list[tuple[str, bool]] = []
    routing.on_change(lambda key, event: told.append((key, event is not None)))

    routing.put(RoutingTable(application="a"))
    routing.remove("a")

    assert told == [("a", True), ("a", False)]
