from pathlib import Path

import pytest

from libs.events.topics import TRAINING_FAILED, TRAINING_REQUESTED
from libs.faults import Poison
from libs.kafka.consumer import ConsumerLoop, Route
from libs.sql.job import JobState
from protos.training.v1.training_events_pb2 import Recipe, TrainingRequested
from services.trainer.handlers import Cancel, Get, OnTrainingRequested, Submit
from tests.unit.services.trainer.fakes import ScriptedJob, Trainer, succeeds


@pytest.fixture
def trainer(tmp_path: Path) -> Trainer:
    return Trainer(tmp_path, ScriptedJob([succeeds]))


def consume(trainer: Trainer) -> None:
    source = trainer.broker.source("trainer", [TRAINING_REQUESTED.name])
    route = Route(TRAINING_REQUESTED, OnTrainingRequested(trainer.runs, trainer.campaigns))
    ConsumerLoop(source, trainer.broker.sink(), [route]).step()


async def test_a_redelivered_request_is_one_run(trainer: Trainer) -> None:
    trainer.broker.produce(TRAINING_REQUESTED, trainer.request())
    trainer.broker.produce(TRAINING_REQUESTED, trainer.request())

    consume(trainer)
    while await trainer.work():
        pass

    assert len(trainer.job.jobs) == 1


def test_a_request_without_a_run_id_is_a_dead_letter(trainer: Trainer) -> None:
    trainer.broker.produce(TRAINING_REQUESTED, TrainingRequested(application="bank"))

    consume(trainer)

    assert len(trainer.broker.logs[TRAINING_REQUESTED.dead_letters]) == 1
    assert trainer.jobs.recent() == []


def test_an_operator_hears_of_a_bad_recipe_at_once(trainer: Trainer) -> None:
    with pytest.raises(Poison) as refused:
        Submit(trainer.runs)(trainer.request(recipe=Recipe(batch_size=100_000)))

    assert refused.value.code == "bad_recipe"
    assert trainer.jobs.recent() == []


def test_an_unknown_run_is_not_found(trainer: Trainer) -> None:
    for command in (Get(trainer.runs), Cancel(trainer.runs)):
        with pytest.raises(Poison) as refused:
            command("nobody")

        assert refused.value.code == "not_found"


def test_a_queued_run_is_cancelled_at_once(trainer: Trainer) -> None:
    Submit(trainer.runs)(trainer.request())

    job = Cancel(trainer.runs)("run-1")

    assert job.state is JobState.CANCELLED
    assert [event.code for event in trainer.events(TRAINING_FAILED)] == ["cancelled"]
