"""Scores of one model: from the cache, or from a process of the model environment."""

import asyncio
import hashlib
import json
import os
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Protocol

from libs.artifacts.store import ArtifactStore, sha256_of_file
from libs.faults import Poison, Retryable
from libs.runtime.child import run_child
from services.evaluation.adapters.files import fetch_gguf, fetch_weights, require_safetensors
from services.evaluation.domain.comparison import RowScore
from services.evaluation.domain.task import Model, Row, Task
from services.evaluation.ports import Tell

SCORER: Final = "1"
"""Grows whenever the same model and rows would get other figures."""
REPO: Final = Path(__file__).parents[3]


class Cache(Protocol):
    """Scores by key."""

    def get(self, key: str) -> list[RowScore] | None: ...

    def put(self, key: str, scores: Sequence[RowScore]) -> None: ...


@dataclass(frozen=True, slots=True)
class Bench:
    """Where and with what a model is scored; absolute paths."""

    python: Path
    base_model: Path
    work_dir: Path
    threads: int
    timeout_s: float


@dataclass(frozen=True, slots=True)
class ScoreOnBench:
    store: ArtifactStore
    cache: Cache
    bench: Bench

    async def __call__(
        self, model: Model, task: Task, rows: Sequence[Row], tell: Tell
    ) -> list[RowScore]:
        key = score_key(model, task)
        if (known := await asyncio.to_thread(self.cache.get, key)) is not None:
            tell(1, 1)
            return known
        work = self.bench.work_dir / key[:24]
        await asyncio.to_thread(self._prepare, work, model, task, rows)
        scores = await self._score(work, tell)
        await asyncio.to_thread(self.cache.put, key, scores)
        await asyncio.to_thread(shutil.rmtree, work, ignore_errors=True)
        return scores

    def _prepare(self, work: Path, model: Model, task: Task, rows: Sequence[Row]) -> None:
        """Fill an empty work directory with plain files."""
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir(parents=True)
        weights, gguf = self._fetch(work, model)
        job = {
            "model_dir": str(self.bench.base_model),
            "weights": str(weights),
            "gguf": str(gguf) if gguf else None,
            "max_new_tokens": task.max_tokens,
            "threads": self.bench.threads,
        }
        (work / "job.json").write_text(json.dumps(job))
        (work / "rows.json").write_text(json.dumps([asdict(row) for row in rows]))

    def _fetch(self, work: Path, model: Model) -> tuple[Path, Path | None]:
        if model.weights is None:
            return self._base_model(model)
        weights = work / "model.safetensors"
        fetch_weights(self.store, model.weights, weights)
        if model.engine is None:
            return weights, None
        gguf = work / "model.gguf"
        fetch_gguf(self.store, model.engine, gguf)
        return weights, gguf

    def _base_model(self, model: Model) -> tuple[Path, Path | None]:
        weights = self.bench.base_model / "model.safetensors"
        require_safetensors(weights)
        if (found := sha256_of_file(weights)) != model.digest:
            raise Poison(
                f"this machine's base model is {found}, asked is {model.digest}",
                code="base_model_mismatch",
            )
        return weights, next(iter(sorted(self.bench.base_model.glob("*.gguf"))), None)

    async def _score(self, work: Path, tell: Tell) -> list[RowScore]:
        def on_line(line: dict[str, Any]) -> None:
            tell(int(line.get("step", 0)), int(line.get("total", 0)))

        module = "services.evaluation.adapters.score"
        argv = [str(self.bench.python), "-m", module, str(work)]
        try:
            async with asyncio.timeout(self.bench.timeout_s):
                ended = await run_child(argv, cwd=work, env=_environment(), on_line=on_line)
        except TimeoutError as error:
            raise Retryable(f"scoring took longer than {self.bench.timeout_s:g} s") from error
        if ended.status == 0:
            told = json.loads((work / "result.json").read_text())
            return [RowScore(**row) for row in told["rows"]]
        refused = work / "error.json"
        if refused.exists():
            error_told = json.loads(refused.read_text())
            raise Poison(error_told["reason"], code=error_told["code"])
        raise Retryable(f"scoring ended with status {ended.status}: {ended.stderr_tail[-500:]}")


def score_key(model: Model, task: Task) -> str:
    """Names the scores of these weights on these rows, asked in this way."""
    asked = {
        "scorer": SCORER,
        "weights": model.weights.sha256 if model.weights else model.digest,
        "engine": model.engine.sha256 if model.engine else "",
        "held_out": task.held_out.sha256,
        "prompt_template": task.prompt_template,
        "generated_rows": task.generated_rows,
        "max_tokens": task.max_tokens,
    }
    return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()


def _environment() -> dict[str, str]:
    """What the child needs; no settings of ours, no secrets."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR") if name in os.environ}
    return {
        **kept,
        "PYTHONPATH": str(REPO),
        "PYTHONUNBUFFERED": "1",
        "HF_HUB_OFFLINE": "1",
        "TOKENIZERS_PARALLELISM": "false",
        "OMP_WAIT_POLICY": "PASSIVE",  # spinning threads are ten times slower on busy cores
    }
