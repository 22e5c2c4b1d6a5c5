"""Training runs: messages and the job's files to values, and back."""

import json
import math
import re
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from google.protobuf.message import DecodeError

from libs.faults import Poison
from libs.sql.job import Job, JobState, Outcome, Progress
from protos.common.v1.common_pb2 import Artifact, ModelVersion
from protos.training.v1 import training_service_pb2 as service
from protos.training.v1.training_events_pb2 import Recipe as RecipeMessage
from protos.training.v1.training_events_pb2 import (
    TrainingCompleted,
    TrainingFailed,
    TrainingProgressed,
    TrainingRequested,
    TrainingStarted,
)
from services.trainer.domain.run import BAD_RECIPE, Recipe, Result, failure_code, objection

_RUN_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
STATES: Final = {
    JobState.QUEUED: service.RUN_STATE_QUEUED,
    JobState.RUNNING: service.RUN_STATE_RUNNING,
    JobState.COMPLETED: service.RUN_STATE_COMPLETED,
    JobState.FAILED: service.RUN_STATE_FAILED,
    JobState.CANCELLED: service.RUN_STATE_CANCELLED,
}


def identified(request: TrainingRequested) -> TrainingRequested:
    """The request, when it says whose and which run it is.

    Raises:
        Poison: ``bad_request``; nobody could be told of the failure of such a run.
    """
    if not _RUN_ID.fullmatch(request.run_id):
        raise Poison(f"run_id {request.run_id[:80]!r} is not an id", code="bad_request")
    if not request.application:
        raise Poison(f"run {request.run_id} names no application", code="bad_request")
    return request


def recipe(message: RecipeMessage) -> Recipe:
    """The recipe with defaults for zeros.

    Raises:
        Poison: ``bad_recipe`` when a value is out of its bounds.
    """
    given = {field.name: value for field, value in message.ListFields()}
    found = Recipe(**given)
    if (reason := objection(found)) is not None:
        raise Poison(reason, code=BAD_RECIPE)
    return found


def request_of(job: Job) -> TrainingRequested:
    """What was asked for when the run was submitted.

    Raises:
        Poison: ``undecodable``.
    """
    try:
        return TrainingRequested.FromString(job.payload)
    except DecodeError as error:
        raise Poison(f"run {job.key} has an undecodable request", code="undecodable") from error


def job_file(request: TrainingRequested, train: Path, settings: Mapping[str, Any]) -> str:
    """``job.json`` of the training job; ``settings`` are the places and limits of this host."""
    return json.dumps(
        {
            "run_id": request.run_id,
            "train": str(train),
            "prompt_template": request.prompt_template,
        }
        | asdict(recipe(request.recipe))
        | dict(settings)
    )


def started(request: TrainingRequested, attempt: int, line: Mapping[str, Any]) -> TrainingStarted:
    return TrainingStarted(
        run_id=request.run_id,
        campaign_id=request.campaign_id,
        application=request.application,
        attempt=attempt,
        resumed_from_step=line["resumed_from_step"],
        total_steps=line["total_steps"],
    )


def progressed(request: TrainingRequested, line: Mapping[str, Any]) -> TrainingProgressed:
    return TrainingProgressed(
        run_id=request.run_id,
        campaign_id=request.campaign_id,
        application=request.application,
        step=line["step"],
        total_steps=line["total_steps"],
        loss=line["loss"],
        tokens_per_s=line["tokens_per_s"],
    )


def progress(line: Mapping[str, Any]) -> Progress:
    """How far the run is, for its record."""
    return Progress(line["step"], line["total_steps"], {"loss": line["loss"]})


def result(text: str) -> Result:
    """``result.json`` of the job.

    Raises:
        Poison: ``diverged`` when the loss is not a number.
    """
    told = json.loads(text)
    if not math.isfinite(told["train_loss"]):
        raise Poison(f"the loss ended at {told['train_loss']}", code="diverged")
    return Result(
        steps=told["steps"],
        train_loss=told["train_loss"],
        seconds=told["seconds"],
        base_sha256=told["base_sha256"],
        adapter=told["adapter"],
        merged=told["merged"],
    )


def completed(
    request: TrainingRequested, found: Result, adapter: Artifact, merged: Artifact
) -> TrainingCompleted:
    model = ModelVersion(
        digest=merged.sha256,
        base_digest=found.base_sha256,
        adapter=adapter,
        merged=merged,
        dataset_digest=request.dataset_digest,
    )
    return TrainingCompleted(
        run_id=request.run_id,
        campaign_id=request.campaign_id,
        application=request.application,
        model=model,
        steps=found.steps,
        train_loss=found.train_loss,
        seconds=found.seconds,
    )


def completion(event: TrainingCompleted) -> Outcome:
    """The end of the run's record; it carries the event that announces it."""
    return Outcome(JobState.COMPLETED, result=event.SerializeToString(deterministic=True))


def ending(job: Job) -> TrainingCompleted | TrainingFailed:
    """The event that tells of an ended run."""
    if job.state is JobState.COMPLETED:
        return TrainingCompleted.FromString(job.result)
    request = request_of(job)
    return TrainingFailed(
        run_id=request.run_id,
        campaign_id=request.campaign_id,
        application=request.application,
        code=failure_code(job.code),
        reason=job.reason,
    )


def run(job: Job) -> service.Run:
    """A run as the gRPC door shows it."""
    request = request_of(job)
    return service.Run(
        run_id=job.key,
        campaign_id=request.campaign_id,
        application=request.application,
        state=STATES[job.state],
        attempt=job.attempt,
        step=job.progress.step,
        total_steps=job.progress.total,
        loss=job.progress.figures.get("loss", 0.0),
        reason=job.reason,
    )
