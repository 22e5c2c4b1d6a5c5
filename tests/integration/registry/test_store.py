"""The registry's SQL on both engines, with the migrations that make it."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from libs.events.topics import ROUTING
from libs.sql.engine import connect
from libs.sql.migrate import differences, upgrade
from services.registry.adapters.tables import METADATA
from tests.unit.services.registry import traffic
from tests.unit.services.registry.flow import Registry, registry_on, routes_of


@pytest.fixture
def registry(sql_url: str) -> Iterator[Registry]:
    registry = registry_on(sql_url)
    yield registry
    registry.engine.dispose()


def test_the_migrations_make_the_declared_schema_and_repeat_harmlessly(sql_url: str) -> None:
    engine = connect(sql_url)

    upgrade(engine, "services.registry")
    upgrade(engine, "services.registry")
    found = differences(engine, METADATA)

    engine.dispose()
    assert [each for each in found if "alembic_version" not in str(each)] == []


def test_campaigns_run_replay_and_page_on_either_engine(registry: Registry) -> None:
    first = traffic.crown_first(registry)
    second = registry.start()
    traffic.to_canary(registry)
    for answered in (20, 60):
        traffic.canary(registry, answered)
    traffic.canary(registry, 120, promote=4.9)

    replays = [registry.replay(first), registry.replay(second)]

    assert [list(each.differences) for each in replays] == [[], []]
    assert all(each.agrees for each in replays)
    assert [route[0] for route in routes_of(registry.last(ROUTING))] == ["m2"]


def test_writers_of_one_application_take_turns(registry: Registry) -> None:
    with ThreadPoolExecutor(4) as writers:
        keys = list(writers.map(lambda _: registry.desk.create_key("bank")[1], range(12)))

    registry.settle()

    tables = registry.broker.events(ROUTING)
    assert list(tables[-1].key_sha256) == sorted(keys)
    assert [table.version for table in tables] == list(range(1, 14))
