import asyncio
from pathlib import Path

from libs.events.topics import (
    TRAINING_COMPLETED,
    TRAINING_FAILED,
    TRAINING_PROGRESSED,
    TRAINING_STARTED,
)
from libs.sql.job import JobState
from protos.training.v1.training_events_pb2 import Recipe, TrainingRequested
from tests.unit.services.trainer.fakes import (
    ScriptedJob,
    Trainer,
    dies_after_a_checkpoint,
    says,
    succeeds,
)


def submitted(trainer: Trainer, request: TrainingRequested | None = None) -> Trainer:
    request = request or trainer.request()
    trainer.runs.submit(request.run_id, request.SerializeToString())
    return trainer


async def test_a_run_ends_with_its_model_stored_and_announced(tmp_path: Path) -> None:
    trainer = submitted(Trainer(tmp_path, ScriptedJob([succeeds])))

    await trainer.work()

    [completed] = trainer.events(TRAINING_COMPLETED)
    model = completed.model
    assert completed.run_id == "run-1"
    assert model.digest == model.merged.sha256 != model.adapter.sha256
    assert model.dataset_digest == "d" * 64
    assert not model.HasField("engine")  # a build of its own makes it


async def test_every_step_is_told(tmp_path: Path) -> None:
    trainer = submitted(Trainer(tmp_path, ScriptedJob([succeeds])))

    await trainer.work()

    [started] = trainer.events(TRAINING_STARTED)
    assert (started.attempt, started.resumed_from_step, started.total_steps) == (1, 0, 3)
    assert [event.step for event in trainer.events(TRAINING_PROGRESSED)] == [1, 2, 3]


async def test_a_killed_attempt_is_followed_by_one_that_finds_the_checkpoint(
    tmp_path: Path,
) -> None:
    job = ScriptedJob([dies_after_a_checkpoint, succeeds])
    trainer = submitted(Trainer(tmp_path, job))

    await trainer.work()
    await trainer.work()

    assert job.found == [[], ["step-000000.safetensors"]]
    assert [event.attempt for event in trainer.events(TRAINING_STARTED)] == [1, 2]
    assert len(trainer.events(TRAINING_COMPLETED)) == 1


async def test_a_checkpoint_that_became_a_pickle_is_not_given_to_the_job(tmp_path: Path) -> None:
    job = ScriptedJob([dies_after_a_checkpoint, succeeds])
    trainer = submitted(Trainer(tmp_path, job))
    await trainer.work()
    kept = trainer.attempt.diary.checkpoint("run-1")
    assert kept is not None
    pickled = trainer.store.put(b"\x80\x04\x95 os.system", "application/octet-stream")
    trainer.attempt.diary.keep_checkpoint("run-1", 3, pickled)

    await trainer.work()

    assert job.found[1] == []
    assert len(trainer.events(TRAINING_COMPLETED)) == 1


async def test_a_run_that_dies_every_time_fails_as_crashed(tmp_path: Path) -> None:
    trainer = submitted(Trainer(tmp_path, ScriptedJob([says("crashed", "out of memory")])))

    while await trainer.work():
        pass

    [failed] = trainer.events(TRAINING_FAILED)
    assert (failed.code, failed.reason) == ("crashed", "out of memory")
    assert len(trainer.job.jobs) == 3


async def test_a_bad_dataset_fails_at_once(tmp_path: Path) -> None:
    trainer = submitted(Trainer(tmp_path, ScriptedJob([says("bad_dataset", "no rows")])))

    while await trainer.work():
        pass

    [failed] = trainer.events(TRAINING_FAILED)
    assert (failed.code, failed.reason) == ("bad_dataset", "no rows")
    assert len(trainer.job.jobs) == 1


async def test_a_dataset_that_is_not_in_the_store_is_a_bad_dataset(tmp_path: Path) -> None:
    trainer = Trainer(tmp_path, ScriptedJob([succeeds]))
    submitted(trainer)
    trainer.store.objects.clear()

    await trainer.work()

    [failed] = trainer.events(TRAINING_FAILED)
    assert failed.code == "bad_dataset"
    assert "artifact_missing" in failed.reason


async def test_a_recipe_out_of_bounds_fails_the_run(tmp_path: Path) -> None:
    trainer = Trainer(tmp_path, ScriptedJob([succeeds]))
    submitted(trainer, trainer.request(recipe=Recipe(epochs=5_000)))

    await trainer.work()

    [failed] = trainer.events(TRAINING_FAILED)
    assert failed.code == "bad_recipe"
    assert trainer.job.jobs == []


async def test_a_cancelled_run_stops_its_job_and_says_so(tmp_path: Path) -> None:
    job = ScriptedJob([succeeds], hang=True)
    trainer = submitted(Trainer(tmp_path, job))

    working = asyncio.create_task(trainer.work())
    await job.hanging.wait()
    trainer.runs.cancel("run-1", "not needed")
    await working

    [failed] = trainer.events(TRAINING_FAILED)
    assert failed.code == "cancelled"
    assert job.stopped


async def test_nothing_of_a_run_is_left_in_the_work_directory(tmp_path: Path) -> None:
    trainer = submitted(Trainer(tmp_path, ScriptedJob([succeeds])))

    await trainer.work()

    assert list((tmp_path / "runs").rglob("*.safetensors")) == []
    job = trainer.runs.get("run-1")
    assert job is not None
    assert job.state is JobState.COMPLETED
