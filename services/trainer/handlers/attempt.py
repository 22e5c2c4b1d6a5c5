"""One attempt at a run: fetch, train in a process of its own, upload what it leaves."""

import asyncio
import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import structlog

from libs.artifacts.store import ArtifactStore
from libs.events.topics import TRAINING_PROGRESSED, TRAINING_STARTED
from libs.faults import Poison, Retryable
from libs.runtime.child import Exit
from libs.sql.job import Job, Outcome
from libs.sql.worker import Report
from protos.common.v1.common_pb2 import Artifact
from protos.training.v1.training_events_pb2 import TrainingRequested
from services.trainer.domain.run import BAD_DATASET
from services.trainer.ports import Child, Diary, Guard
from services.trainer.wire import training

log = structlog.get_logger()

SAFETENSORS: Final = "application/vnd.safetensors"
AGAIN_S: Final = 1.0
FETCHED: Final = "step-000000.safetensors"
"""Name of a stored checkpoint in a new attempt's directory: older than all that follow."""


@dataclass(frozen=True, slots=True)
class Workshop:
    """Where this host trains."""

    runs_dir: Path
    base_model: Path
    max_tokens: int
    threads: int

    def settings(self) -> dict[str, Any]:
        return {
            "base_model": str(self.base_model),
            "max_tokens": self.max_tokens,
            "threads": self.threads,
        }


@dataclass(frozen=True, slots=True)
class Attempt:
    """The work of `libs.sql.worker.JobWorker`. It goes on from the stored checkpoint.

    Raises:
        Poison: ``bad_dataset``, ``bad_recipe``: no attempt could succeed.
        Retryable: this attempt died; another one resumes.
    """

    workshop: Workshop
    store: ArtifactStore
    diary: Diary
    child: Child
    guard: Guard

    async def __call__(self, job: Job, report: Report) -> Outcome:
        request = training.request_of(job)
        work = self.workshop.runs_dir / request.run_id / f"attempt-{job.attempt}"
        try:
            await asyncio.to_thread(self._prepare, request, work)
            ended = await self._train(job, request, work, report)
            if ended.status != 0:
                raise _fault(work, ended)
            return await asyncio.to_thread(self._deliver, request, work)
        finally:
            shutil.rmtree(work, ignore_errors=True)

    def _prepare(self, request: TrainingRequested, work: Path) -> None:
        shutil.rmtree(work.parent, ignore_errors=True)  # a killed attempt cleans nothing up
        (work / "checkpoints").mkdir(parents=True)
        train = work / "train.parquet"
        (work / "job.json").write_text(training.job_file(request, train, self.workshop.settings()))
        try:
            self.store.get_file(request.train, train)
        except Poison as error:
            raise Poison(f"{error} ({error.code})", code=BAD_DATASET) from error
        kept = self.diary.checkpoint(request.run_id)
        if kept is not None:
            self._fetch_checkpoint(kept, work / "checkpoints" / FETCHED)

    def _fetch_checkpoint(self, kept: Artifact, path: Path) -> None:
        """A checkpoint that is gone or refused costs time, not the run."""
        try:
            self.store.get_file(kept, path)
            self.guard(path)
        except Poison as error:
            path.unlink(missing_ok=True)
            log.warning("checkpoint.refused", uri=kept.uri, code=error.code, error=str(error))

    async def _train(
        self, job: Job, request: TrainingRequested, work: Path, report: Report
    ) -> Exit:
        lines: asyncio.Queue[Mapping[str, Any] | None] = asyncio.Queue()
        telling = asyncio.create_task(self._tell_all(job, request, lines, report))
        try:
            ended = await self.child(work, lines.put_nowait)
            lines.put_nowait(None)
            await telling
        finally:
            telling.cancel()
        return ended

    async def _tell_all(
        self,
        job: Job,
        request: TrainingRequested,
        lines: asyncio.Queue[Mapping[str, Any] | None],
        report: Report,
    ) -> None:
        while (line := await lines.get()) is not None:
            if line.get("event") == "progressed":
                report(training.progress(line))
            try:
                await asyncio.to_thread(self._tell, job, request, line)
            except (Retryable, FileNotFoundError) as error:
                # The store is away, or so slow that the job dropped the checkpoint meanwhile;
                # the next step or checkpoint says more than this one did.
                log.warning("training.line_untold", line=line.get("event"), error=str(error))

    def _tell(self, job: Job, request: TrainingRequested, line: Mapping[str, Any]) -> None:
        match line.get("event"):
            case "started":
                log.info("training.started", run_id=job.key, attempt=job.attempt, **_rest(line))
                self.diary.tell(TRAINING_STARTED, training.started(request, job.attempt, line))
            case "progressed":
                self.diary.tell(TRAINING_PROGRESSED, training.progressed(request, line))
            case "checkpointed":
                kept = self.store.put_file(Path(line["path"]), SAFETENSORS)
                self.diary.keep_checkpoint(request.run_id, line["step"], kept)
            case _:
                log.info("training.told", run_id=job.key, **_rest(line))

    def _deliver(self, request: TrainingRequested, work: Path) -> Outcome:
        found = training.result((work / "result.json").read_text())
        for weights in (found.adapter, found.merged):
            self.guard(Path(weights))
        adapter = self.store.put_file(Path(found.adapter), SAFETENSORS)
        merged = self.store.put_file(Path(found.merged), SAFETENSORS)
        return training.completion(training.completed(request, found, adapter, merged))


def _fault(work: Path, ended: Exit) -> Poison | Retryable:
    """Why the job ended badly: what it said itself, or how it died."""
    try:
        told = json.loads((work / "error.json").read_text())
    except (OSError, ValueError):
        told = {"code": "", "reason": f"the job died with status {ended.status}"}
    if told["code"] == BAD_DATASET:
        return Poison(told["reason"], code=BAD_DATASET)
    log.warning("training.attempt_died", status=ended.status, stderr=ended.stderr_tail, **told)
    return Retryable(told["reason"], after_s=AGAIN_S)


def _rest(line: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in line.items() if key != "event"} | {
        "line": line.get("event", "")
    }
