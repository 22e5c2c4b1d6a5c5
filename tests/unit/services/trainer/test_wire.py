import json
from pathlib import Path

import pytest

from libs.faults import Poison
from protos.training.v1.training_events_pb2 import Recipe, TrainingRequested
from services.trainer.domain.run import Recipe as Values
from services.trainer.wire import training


def test_zero_in_a_recipe_means_the_default() -> None:
    found = training.recipe(Recipe(lora_rank=8))

    assert found == Values(lora_rank=8)


def test_a_recipe_out_of_bounds_is_poison() -> None:
    with pytest.raises(Poison) as refused:
        training.recipe(Recipe(learning_rate=float("inf")))

    assert refused.value.code == "bad_recipe"


@pytest.mark.parametrize("run_id", ["", "../../etc", ".hidden", "a/b", "x" * 200])
def test_a_run_id_that_could_leave_its_directory_is_poison(run_id: str) -> None:
    with pytest.raises(Poison) as refused:
        training.identified(TrainingRequested(run_id=run_id, application="bank"))

    assert refused.value.code == "bad_request"


def test_the_job_file_holds_the_whole_recipe_and_the_places() -> None:
    request = TrainingRequested(run_id="run-1", application="bank", recipe=Recipe(seed=7))

    job = json.loads(training.job_file(request, Path("/work/train.parquet"), {"threads": 2}))

    assert job["seed"] == 7
    assert job["batch_size"] == 8
    assert job["train"] == "/work/train.parquet"
    assert job["threads"] == 2


def test_a_loss_that_is_not_a_number_is_not_a_result() -> None:
    with pytest.raises(Poison) as refused:
        training.result('{"train_loss": NaN}')

    assert refused.value.code == "diverged"
