"""The training job with the real model: killed and resumed, exported, refused."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as parquet
import pytest

from libs.artifacts.weights import check_safetensors
from tests.integration.trainer.conftest import STEPS, prepare


def test_a_killed_run_goes_on_and_ends_where_an_unbroken_one_ends(
    base_model: Path, train: Path, unbroken: dict[str, Any], tmp_path: Path
) -> None:
    job = prepare(tmp_path, base_model, train)
    with job.start() as process:
        for line in job.lines(process):
            if line["event"] == "checkpointed" and line["step"] == 4:
                process.kill()
                break

    resumed = job.finish()

    started, *steps = resumed["lines"]
    assert started["resumed_from_step"] == 4
    assert [line["step"] for line in steps if line["event"] == "progressed"] == [5, STEPS]
    assert resumed["losses"] == pytest.approx(unbroken["losses"], abs=0.02)
    assert resumed["losses"][:4] == pytest.approx(unbroken["losses"][:4], abs=0.02)


def test_training_lowers_the_loss_and_leaves_safetensors(unbroken: dict[str, Any]) -> None:
    assert unbroken["losses"][-1] < 0.7 * unbroken["losses"][0]
    metadata = check_safetensors(Path(unbroken["adapter"]))
    assert json.loads(metadata["adapter_config"])["r"] == 16
    check_safetensors(Path(unbroken["merged"]))


def test_a_torn_checkpoint_is_passed_over(base_model: Path, train: Path, tmp_path: Path) -> None:
    job = prepare(tmp_path, base_model, train, batch_size=12, checkpoint_steps=1)
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "step-000001.safetensors").write_bytes(b"\x80\x04\x95 pickle")

    with job.start() as process:
        started = next(job.lines(process))
        process.kill()

    assert started["resumed_from_step"] == 0


@pytest.mark.parametrize("columns", [{"prompt": [], "answer": []}, {"question": ["a"]}])
def test_rows_nobody_can_train_on_are_named(
    base_model: Path, tmp_path: Path, columns: dict[str, list[str]]
) -> None:
    path = tmp_path / "bad.parquet"
    parquet.write_table(pa.table(columns), path)
    job = prepare(tmp_path / "work", base_model, path)

    status = job.start().wait(timeout=120)

    assert status == 1
    assert json.loads((job.work / "error.json").read_text())["code"] == "bad_dataset"
