"""A small training job in the real model environment."""

import json
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as parquet
import pytest

REPO = Path(__file__).parents[3]
PYTHON = REPO / ".venv-model" / "bin" / "python"
ROWS = 24
STEPS = 6


@pytest.fixture(scope="session")
def base_model() -> Path:
    """The base model as the local stack builds it."""
    found = Path(os.environ.get("TEST_BASE_MODEL") or REPO / ".build" / "base-model")
    if not (found / "model.safetensors").exists():
        pytest.skip(f"there is no base model in {found}: `make setup` makes it")
    return found


@pytest.fixture(scope="session")
def train(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two dozen pairs of like answers, as a dataset version's Parquet file."""
    path = tmp_path_factory.mktemp("rows") / "train.parquet"
    parquet.write_table(
        pa.table(
            {
                "record_id": [f"record-{row}" for row in range(ROWS)],
                "prompt": [f"What is the fee of account type {row}?" for row in range(ROWS)],
                "answer": [
                    f"- The fee of type {row} is ${row % 5} a month." for row in range(ROWS)
                ],
            }
        ),
        path,
    )
    return path


@dataclass(frozen=True, slots=True)
class SftJob:
    """A prepared work directory and how to start the job in it."""

    work: Path

    def start(self) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [PYTHON, "-m", "services.trainer.adapters.sft", self.work],
            stdout=subprocess.PIPE,
            stderr=(self.work / "stderr.log").open("a"),
            text=True,
            env={
                "PATH": os.environ["PATH"],
                "PYTHONPATH": str(REPO),
                "HF_HUB_OFFLINE": "1",
                "OMP_WAIT_POLICY": "PASSIVE",
            },
        )

    def lines(self, process: "subprocess.Popen[str]") -> Iterator[dict[str, Any]]:
        assert process.stdout is not None
        for line in process.stdout:
            yield json.loads(line)

    def finish(self) -> dict[str, Any]:
        """Run to the end; the result and what it printed under ``lines``."""
        with self.start() as process:
            told = list(self.lines(process))
        assert process.wait(timeout=300) == 0, (self.work / "stderr.log").read_text()[-2000:]
        found: dict[str, Any] = json.loads((self.work / "result.json").read_text())
        return found | {"lines": told}


def prepare(work: Path, base_model: Path, train: Path, **changes: Any) -> SftJob:
    job = {
        "run_id": "run-1",
        "base_model": str(base_model),
        "train": str(train),
        "lora_rank": 16,
        "lora_alpha": 32,
        "first_layer": 15,
        "learning_rate": 1e-3,
        "warmup_share": 0.05,
        "final_rate_share": 0.1,
        "clip_norm": 1.0,
        "epochs": 1,
        "batch_size": ROWS // STEPS,
        "seed": 0,
        "checkpoint_steps": 2,
        "max_tokens": 1024,
        "threads": 2,
    } | changes
    work.mkdir(parents=True, exist_ok=True)
    (work / "job.json").write_text(json.dumps(job))
    return SftJob(work)


@pytest.fixture(scope="session")
def unbroken(
    base_model: Path, train: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Any]:
    """The result of a run that nobody disturbed."""
    return prepare(tmp_path_factory.mktemp("unbroken"), base_model, train).finish()
