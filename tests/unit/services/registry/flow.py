"""The registry on a SQLite file and the broker's in-memory twin."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy.engine import Engine

from libs.events.delivery import Delivery
from libs.events.topics import ROUTING, E, Topic
from libs.kafka.consumer import ConsumerLoop, delivery_of
from libs.kafka.memory import MemoryBroker
from libs.runtime.clock import ManualClock
from libs.sql.engine import connect
from libs.sql.migrate import upgrade
from libs.sql.relay import OutboxRelay
from protos.registry.v1.registry_events_pb2 import CampaignRequested, Release, RoutingTable
from services.registry.adapters.catalogue import SqlCatalogue
from services.registry.adapters.store import SqlStore
from services.registry.adapters.tables import OUTBOX
from services.registry.compose import routes
from services.registry.domain.policies import Provider
from services.registry.domain.values import Application
from services.registry.handlers.audit import ReplayCampaign
from services.registry.handlers.conduct import Conduct
from services.registry.handlers.desk import Desk
from services.registry.handlers.library import Library

BRIEF = "Briefly: {{ question }}"
BACKUP = Provider("backup", "https://api.example.com/v1", "small-1")


@dataclass(frozen=True)
class MemoryLog:
    broker: MemoryBroker

    def read(self, topics: Sequence[Topic[Any]]) -> Iterator[Delivery[Any]]:
        for topic in topics:
            for record in self.broker.logs[topic.name]:
                yield delivery_of(record)


@dataclass
class Registry:
    """``settle`` relays the outbox and consumes until nothing moves."""

    engine: Engine
    broker: MemoryBroker = field(default_factory=MemoryBroker)
    clock: ManualClock = field(default_factory=ManualClock)

    def __post_init__(self) -> None:
        self.store = SqlStore(self.engine, self.clock)
        self.catalogue = SqlCatalogue(self.engine)
        self.desk = Desk(self.store, self.clock)
        self.library = Library(self.store, self.catalogue, self.clock)
        self.replay = ReplayCampaign(self.catalogue, MemoryLog(self.broker))
        self.relay = OutboxRelay(self.engine, OUTBOX, self.broker.sink())
        self.restart()

    def restart(self) -> None:
        """A new consumer that goes on where the last commit was."""
        table = routes(Conduct(self.store, self.clock))
        source = self.broker.source("registry", [route.topic.name for route in table])
        self.loop = ConsumerLoop(source, self.broker.sink(), table, sleep=lambda _: None)

    def settle(self) -> None:
        while self.relay.step() + self.loop.step():
            pass

    def tell(self, topic: Topic[E], event: E, *, event_id: str | None = None) -> str:
        sent = self.broker.produce(topic, event, event_id=event_id)
        self.settle()
        return sent

    def last(self, topic: Topic[E]) -> E:
        return self.broker.events(topic)[-1]

    def state(self, campaign_id: str) -> str:
        kept = self.catalogue.campaign(campaign_id)
        return kept.state.state.value if kept else ""

    def start(self, application: str = "bank", **request: Any) -> str:
        asked = CampaignRequested(application=application, requested_by="Ada", **request)
        campaign_id = self.desk.start_campaign(asked)
        self.settle()
        return campaign_id


def registry_at(path: Path) -> Registry:
    """One with the application ``bank``."""
    return registry_on(f"sqlite:///{path / 'registry.db'}")


def registry_on(url: str) -> Registry:
    engine = connect(url)
    upgrade(engine, "services.registry")
    registry = Registry(engine)
    registry.desk.apply(Application(name="bank"))
    registry.settle()
    return registry


def routes_of(table: RoutingTable) -> list[tuple[str, int, float]]:
    return [(route.release.model_digest, route.role, route.share) for route in table.routes]


def champion(registry: Registry) -> Release:
    return registry.last(ROUTING).routes[0].release
