import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from libs.artifacts.memory import MemoryStore
from libs.faults import Poison, Retryable
from services.evaluation import wire
from services.evaluation.adapters.scoring import Bench, ScoreOnBench, score_key
from services.evaluation.domain.comparison import RowScore
from services.evaluation.domain.task import Model, Task
from tests.unit.services.evaluation.adapters.test_files import SAFETENSORS
from tests.unit.services.evaluation.fakes import candidate_registered, rows

SCORED = [RowScore("r", "bank", {"answer_loss": 3.0}, None)]
RESULT = json.dumps(
    {"rows": [{"record_id": "r", "segment": "bank", "metrics": {"answer_loss": 3.0}}]}
)


@dataclass
class MemoryCache:
    kept: dict[str, list[RowScore]] = field(default_factory=dict)

    def get(self, key: str) -> list[RowScore] | None:
        return self.kept.get(key)

    def put(self, key: str, scores: Sequence[RowScore]) -> None:
        self.kept[key] = list(scores)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    base = tmp_path / "base"
    base.mkdir()
    (base / "model.safetensors").write_bytes(SAFETENSORS)
    return Bench(tmp_path / "python", base, tmp_path / "scoring", 1, 20.0)


@pytest.fixture
def base() -> Model:
    return Model(hashlib.sha256(SAFETENSORS).hexdigest())


@pytest.fixture
def task() -> Task:
    return wire.task(candidate_registered())


def model_python(bench: Bench, *lines: str) -> None:
    """A stand-in for the model environment: called as ``python -m MODULE WORKDIR``."""
    bench.python.write_text("\n".join(["#!/bin/sh", *lines]))
    bench.python.chmod(0o755)


async def test_a_model_is_scored_once_and_its_files_are_cleared(
    bench: Bench, base: Model, task: Task
) -> None:
    progress: list[tuple[int, int]] = []
    model_python(
        bench,
        """echo '{"step": 5, "total": 10}'""",
        f"echo '{RESULT}' > $3/result.json",
        f"rm {bench.python}",
    )
    subject = ScoreOnBench(MemoryStore(), MemoryCache(), bench)

    first = await subject(base, task, rows(), lambda *told: progress.append(told))
    second = await subject(base, task, rows(), lambda *told: progress.append(told))

    assert first == second == SCORED
    assert progress == [(5, 10), (1, 1)]
    assert list(bench.work_dir.iterdir()) == []


async def test_the_job_is_plain_files(bench: Bench, base: Model, task: Task) -> None:
    model_python(bench, "cp $3/job.json $3/rows.json $3/../..", f"echo '{RESULT}' > $3/result.json")

    await ScoreOnBench(MemoryStore(), MemoryCache(), bench)(base, task, rows(), lambda *_: None)

    job = json.loads((bench.work_dir.parent / "job.json").read_text())
    told = json.loads((bench.work_dir.parent / "rows.json").read_text())
    assert job == {
        "model_dir": str(bench.base_model),
        "weights": str(bench.base_model / "model.safetensors"),
        "gguf": None,
        "max_new_tokens": 16,
        "threads": 1,
    }
    assert told[0] == {
        "record_id": "bank-0",
        "segment": "bank",
        "message": "question 0",
        "answer": "answer 0",
        "generated": True,
    }


async def test_a_refusal_is_poison_with_its_code(bench: Bench, base: Model, task: Task) -> None:
    refusal = json.dumps({"code": "bad_weights", "reason": "another architecture"})
    model_python(bench, f"echo '{refusal}' > $3/error.json", "exit 1")

    with pytest.raises(Poison, match="another architecture") as caught:
        await ScoreOnBench(MemoryStore(), MemoryCache(), bench)(base, task, rows(), lambda *_: None)

    assert caught.value.code == "bad_weights"


async def test_a_crash_is_retryable_with_its_last_words(
    bench: Bench, base: Model, task: Task
) -> None:
    model_python(bench, "echo out of memory >&2", "kill -9 $$")

    with pytest.raises(Retryable, match="out of memory"):
        await ScoreOnBench(MemoryStore(), MemoryCache(), bench)(base, task, rows(), lambda *_: None)


async def test_a_scoring_that_hangs_is_ended(bench: Bench, base: Model, task: Task) -> None:
    model_python(bench, "sleep 600")
    impatient = replace(bench, timeout_s=0.05)

    with pytest.raises(Retryable, match="longer than"):
        await ScoreOnBench(MemoryStore(), MemoryCache(), impatient)(
            base, task, rows(), lambda *_: None
        )


async def test_another_base_model_than_asked_is_refused(bench: Bench, task: Task) -> None:
    with pytest.raises(Poison) as caught:
        await ScoreOnBench(MemoryStore(), MemoryCache(), bench)(
            Model("another"), task, rows(), lambda *_: None
        )

    assert caught.value.code == "base_model_mismatch"


def test_what_changes_the_figures_changes_the_key(base: Model, task: Task) -> None:
    keys = {
        score_key(base, task),
        score_key(task.candidate, task),
        score_key(replace(task.candidate, engine=None), task),
        score_key(base, replace(task, prompt_template="Q: {{ question }}")),
        score_key(base, replace(task, generated_rows=3)),
        score_key(base, replace(task, max_tokens=3)),
        score_key(base, replace(task, held_out=replace(task.held_out, sha256="0"))),
    }

    assert len(keys) == 7
    assert score_key(base, replace(task, campaign_id="another")) in keys
