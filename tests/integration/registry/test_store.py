"""The registry's SQL on both engines, with the migrations that make it."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest
from sqlalchemy.engine import make_url

from libs.events.topics import DATASET_REFUSED, ROUTING
from libs.faults import Fatal
from protos.preprocessing.v1.preprocessing_events_pb2 import DatasetRefused
from protos.registry.v1.registry_events_pb2 import Proposal
from services.registry.domain.policies import Provider, Serving
from services.registry.domain.values import Application, Prompt
from services.registry.ports import Cut
from tests.stack import Postgres
from tests.unit.services.registry import traffic
from tests.unit.services.registry.flow import Registry, registry_on, routes_of

ALL = Cut(50, "")


@pytest.fixture
def registry(sql_url: str) -> Iterator[Registry]:
    registry = registry_on(sql_url)
    yield registry
    registry.engine.dispose()


Away = Callable[[], AbstractContextManager[None]]


@pytest.fixture
def away(sql_url: str, request: pytest.FixtureRequest) -> Away:
    """Within it nobody gets at the database."""

    @contextmanager
    def sqlite() -> Iterator[None]:
        file = Path(make_url(sql_url).database or "")
        kept = file.rename(file.with_suffix(".kept"))
        file.mkdir()
        yield
        file.rmdir()
        kept.rename(file)

    @contextmanager
    def postgresql() -> Iterator[None]:
        server: Postgres = request.getfixturevalue("postgres")
        database = make_url(sql_url).database
        server.execute(f"alter database {database} allow_connections false")
        server.execute(
            f"select pg_terminate_backend(pid) from pg_stat_activity where datname = '{database}'"
        )
        yield
        server.execute(f"alter database {database} allow_connections true")

    return sqlite if sql_url.startswith("sqlite") else postgresql


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


def test_prompts_engines_and_approvals_are_kept_on_either_engine(registry: Registry) -> None:
    backup = Provider("backup", "https://api.example.com/v1", "small-1")
    registry.desk.apply(Application(name="bank", serving=Serving(fallbacks=(backup,))))
    registry.start()
    traffic.prepare(registry)
    traffic.train(registry, "m1", with_engine=False)
    traffic.evaluate(registry)
    traffic.build(registry)
    traffic.load(registry)
    made = registry.library.create_prompt("bank", Prompt(template="Q: {{ question }}"), "Ada")

    for _ in range(2):
        registry.library.approve("bank", "backup", "Ada", "our own gateway")
    proposal = Proposal(prompt_version=made.prompt.version)
    campaign_id = registry.start(proposal=proposal)
    registry.settle()

    assert registry.state(campaign_id) == "loading"
    assert [each.built.model_digest for each in registry.catalogue.engines("", ALL).items] == ["m1"]
    assert [each.prompt.version for each in registry.catalogue.prompts("bank", ALL).items] == [1, 2]
    assert len(registry.catalogue.approvals("bank")) == 1
    assert registry.replay(campaign_id).agrees


def test_a_store_that_goes_away_costs_no_event(registry: Registry, away: Away) -> None:
    campaign_id = registry.start()
    registry.engine.dispose()

    with away():
        registry.broker.produce(
            DATASET_REFUSED, DatasetRefused(campaign_id=campaign_id, application="bank", code="x")
        )
        with pytest.raises(Fatal, match="no record can be settled"):
            registry.loop.step()
    registry.restart()
    registry.settle()

    assert registry.state(campaign_id) == "failed"
    assert not registry.broker.logs[DATASET_REFUSED.dead_letters]
