import asyncio
from pathlib import Path
from typing import Any

import pytest

from libs.events.topics import (
    CAMPAIGN_TRANSITIONED,
    ENGINE_FAILED,
    ENGINE_REQUESTED,
    TRAINING_FAILED,
    TRAINING_REQUESTED,
)
from libs.kafka.consumer import ConsumerLoop, Route
from protos.registry.v1.registry_events_pb2 import CampaignTransitioned
from services.trainer.handlers import (
    OnCampaignTransitioned,
    OnEngineRequested,
    OnTrainingRequested,
)
from tests.unit.services.trainer.fakes import ScriptedJob, Trainer, succeeds
from tests.unit.services.trainer.foundry import Foundry


@pytest.fixture
def foundry(tmp_path: Path) -> Foundry:
    return Foundry(Trainer(tmp_path, ScriptedJob([succeeds], hang=True)))


def consume(foundry: Foundry) -> None:
    trainer = foundry.trainer
    topics = [TRAINING_REQUESTED.name, ENGINE_REQUESTED.name, CAMPAIGN_TRANSITIONED.name]
    routes: list[Route[Any]] = [
        Route(TRAINING_REQUESTED, OnTrainingRequested(trainer.runs, trainer.campaigns)),
        Route(ENGINE_REQUESTED, OnEngineRequested(trainer.builds, trainer.campaigns)),
        Route(CAMPAIGN_TRANSITIONED, OnCampaignTransitioned(trainer.campaigns)),
    ]
    loop = ConsumerLoop(trainer.broker.source("trainer", topics), trainer.broker.sink(), routes)
    loop.step()


def moved(to_state: str, campaign_id: str = "campaign-1") -> CampaignTransitioned:
    return CampaignTransitioned(campaign_id=campaign_id, application="bank", to_state=to_state)


async def test_a_campaign_that_ends_stops_the_run_that_works_for_it(foundry: Foundry) -> None:
    trainer = foundry.trainer
    trainer.broker.produce(TRAINING_REQUESTED, trainer.request())
    consume(foundry)
    working = asyncio.create_task(trainer.work())
    await trainer.job.hanging.wait()

    trainer.broker.produce(CAMPAIGN_TRANSITIONED, moved("aborted"))
    consume(foundry)
    await working

    [failed] = trainer.events(TRAINING_FAILED)
    assert failed.code == "cancelled"
    assert trainer.job.stopped


@pytest.mark.parametrize(
    ("to_state", "campaign_id"), [("training", "campaign-1"), ("aborted", "campaign-2")]
)
async def test_a_run_goes_on_while_its_campaign_does(
    foundry: Foundry, to_state: str, campaign_id: str
) -> None:
    trainer = foundry.trainer
    trainer.broker.produce(TRAINING_REQUESTED, trainer.request())
    trainer.broker.produce(CAMPAIGN_TRANSITIONED, moved(to_state, campaign_id))

    consume(foundry)

    assert trainer.events(TRAINING_FAILED) == []


async def test_a_queued_build_of_an_ended_campaign_is_cancelled(foundry: Foundry) -> None:
    trainer = foundry.trainer
    trainer.broker.produce(ENGINE_REQUESTED, foundry.request())
    consume(foundry)

    trainer.broker.produce(CAMPAIGN_TRANSITIONED, moved("rolled_back"))
    consume(foundry)

    [failed] = trainer.events(ENGINE_FAILED)
    assert (failed.build_id, failed.code) == ("build-1", "cancelled")


async def test_a_request_that_comes_after_its_campaigns_end_is_not_worked_on(
    foundry: Foundry,
) -> None:
    trainer = foundry.trainer
    trainer.broker.produce(CAMPAIGN_TRANSITIONED, moved("aborted"))
    consume(foundry)
    trainer.broker.produce(TRAINING_REQUESTED, trainer.request())
    trainer.broker.produce(ENGINE_REQUESTED, foundry.request())

    consume(foundry)

    assert [event.code for event in trainer.events(TRAINING_FAILED)] == ["cancelled"]
    assert [event.code for event in trainer.events(ENGINE_FAILED)] == ["cancelled"]
    assert not await trainer.work()
    assert not await foundry.work()


def test_a_build_whose_id_is_none_is_a_dead_letter(foundry: Foundry) -> None:
    request = foundry.request()
    request.build_id = "no id"
    foundry.trainer.broker.produce(ENGINE_REQUESTED, request)

    consume(foundry)

    assert len(foundry.trainer.broker.logs[ENGINE_REQUESTED.dead_letters]) == 1
    assert foundry.trainer.builds.get("no id") is None
