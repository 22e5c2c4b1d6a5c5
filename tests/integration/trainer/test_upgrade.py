"""A runtime that moves on, from the trainer's word to the champion: registry and trainer over
one broker, with a scripted builder."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from libs.events.topics import (
    CAMPAIGN_TRANSITIONED,
    DATASET_REQUESTED,
    DATASET_VERSIONED,
    ENGINE_REQUESTED,
    ENGINE_STALE,
    ROUTING,
    TRAINING_COMPLETED,
    TRAINING_REQUESTED,
)
from libs.kafka.consumer import ConsumerLoop, Route
from protos.common.v1.common_pb2 import Engine
from protos.preprocessing.v1.preprocessing_events_pb2 import DatasetVersioned
from protos.training.v1.training_events_pb2 import TrainingCompleted
from services.trainer.adapters.builds import tell_stale
from services.trainer.handlers import OnCampaignTransitioned, OnEngineRequested
from tests.unit.services.registry import traffic
from tests.unit.services.registry.flow import Registry, registry_at
from tests.unit.services.trainer.fakes import ScriptedJob, Trainer
from tests.unit.services.trainer.foundry import RUNTIME, Foundry, ScriptedMeter, figures


@dataclass
class Both:
    registry: Registry
    foundry: Foundry
    loop: ConsumerLoop = field(init=False)

    def __post_init__(self) -> None:
        trainer, broker = self.foundry.trainer, self.registry.broker
        routes: list[Route[Any]] = [
            Route(ENGINE_REQUESTED, OnEngineRequested(trainer.builds, trainer.campaigns)),
            Route(CAMPAIGN_TRANSITIONED, OnCampaignTransitioned(trainer.campaigns)),
        ]
        source = broker.source("trainer", [route.topic.name for route in routes])
        self.loop = ConsumerLoop(source, broker.sink(), routes, sleep=lambda _: None)

    @property
    def champion(self) -> Engine:
        return self.registry.last(ROUTING).routes[0].release.engine

    async def settle(self) -> None:
        """Until no event travels and no build waits."""
        self.registry.settle()
        while self.loop.step() or await self.foundry.work():
            self.foundry.trainer.events(ENGINE_STALE)  # relays what the trainer tells
            self.registry.settle()

    async def restart_trainer(self, version: str) -> None:
        """As its composition root does at the start."""
        self.foundry.builder.version = version
        tell_stale(self.foundry.trainer.engine, {RUNTIME: version})
        self.foundry.trainer.events(ENGINE_STALE)
        await self.settle()


@pytest.fixture
async def both(tmp_path: Path) -> Both:
    """With a champion whose engine was built and gated under version 1 of its runtime."""
    registry = registry_at(tmp_path)
    home = tmp_path / "trainer"
    home.mkdir()
    made = Both(registry, Foundry(Trainer(home, ScriptedJob([]), broker=registry.broker)))
    foundry = made.foundry
    registry.start()
    asked = registry.last(DATASET_REQUESTED)
    rows = foundry.request().held_out
    versioned = DatasetVersioned(
        campaign_id=asked.campaign_id,
        application="bank",
        dataset_digest="d1",
        train=rows,
        held_out=rows,
    )
    registry.tell(DATASET_VERSIONED, versioned)
    run = registry.last(TRAINING_REQUESTED)
    trained = TrainingCompleted(
        run_id=run.run_id, campaign_id=run.campaign_id, application="bank", model=foundry.model
    )
    registry.tell(TRAINING_COMPLETED, trained)
    traffic.evaluate(registry)
    await made.settle()
    traffic.load(registry)
    assert made.champion.runtime_version == "1"
    return made


async def test_a_stale_champion_is_rebuilt_gated_and_replaced(both: Both) -> None:
    await both.restart_trainer("2")
    building = both.champion.runtime_version
    traffic.load(both.registry)
    traffic.shadow(both.registry)
    await both.restart_trainer("2")

    assert both.foundry.builder.built == ["q8_0", "q8_0"]
    assert (building, both.champion.runtime_version) == ("1", "2")
    assert both.registry.last(CAMPAIGN_TRANSITIONED).to_state == "promoted"
    assert len(both.registry.broker.events(ENGINE_STALE)) == 1


async def test_a_rebuilt_engine_that_strays_leaves_the_old_one_and_says_so(both: Both) -> None:
    both.foundry.meter = ScriptedMeter([figures(loss=0.5)])

    await both.restart_trainer("2")
    await both.restart_trainer("2")

    ended = both.registry.last(CAMPAIGN_TRANSITIONED)
    assert both.champion.runtime_version == "1"
    assert (ended.to_state, ended.campaign_id[:8]) == ("rejected", "upgrade-")
    assert "(bound 0.03)" in ended.reason
    assert len(both.foundry.builder.built) == 2
