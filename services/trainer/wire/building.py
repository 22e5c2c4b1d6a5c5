"""Engine builds: messages and the measuring job's file to values, and back."""

import json
import math
import re
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, Final

from google.protobuf.message import DecodeError

from libs.faults import Poison
from libs.sql.job import Job, JobState, Outcome, Progress
from protos.common.v1.common_pb2 import Artifact, Engine, Interval
from protos.training.v1 import training_service_pb2 as service
from protos.training.v1.training_events_pb2 import (
    EngineBuilt,
    EngineFailed,
    EngineOrder,
    EngineRequested,
    Throughput,
)
from services.trainer.domain.engine import (
    BAD_REQUEST,
    Order,
    Target,
    failure_code,
    objection,
    stale,
)
from services.trainer.domain.gate import Measured, Probe, Row, Speed, Verdict
from services.trainer.ports import Asked, Chat
from services.trainer.wire.training import STATES

STEPS: Final = ("fetching", "building", "measuring", "judging")
_BUILD_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_SHA256: Final = re.compile(r"[0-9a-f]{64}")


def identified(request: EngineRequested) -> EngineRequested:
    """The request, when it says whose and which build it is.

    Raises:
        Poison: ``bad_request``; nobody could be told of the failure of such a build.
    """
    if not _BUILD_ID.fullmatch(request.build_id):
        raise Poison(f"build_id {request.build_id[:80]!r} is not an id", code=BAD_REQUEST)
    if not request.application:
        raise Poison(f"build {request.build_id} names no application", code=BAD_REQUEST)
    return request


def request_of(job: Job) -> EngineRequested:
    """What was asked for when the build was submitted.

    Raises:
        Poison: ``undecodable``.
    """
    try:
        return EngineRequested.FromString(job.payload)
    except DecodeError as error:
        raise Poison(f"build {job.key} has an undecodable request", code="undecodable") from error


def buildable(request: EngineRequested) -> Order:
    """What is to be built, with defaults for zeros.

    Raises:
        Poison: ``bad_request`` when the model or the rows are missing, or a bound is no bound.
    """
    if not _SHA256.fullmatch(request.model.digest):
        raise Poison("the request names no model", code=BAD_REQUEST)
    if not request.held_out.uri:
        raise Poison("the request has no held-out rows for the gate", code=BAD_REQUEST)
    found = order(request.order)
    if (reason := objection(found)) is not None:
        raise Poison(reason, code=BAD_REQUEST)
    return found


def order(message: EngineOrder) -> Order:
    return Order(**{field.name: value for field, value in message.ListFields()})


def asked(request: EngineRequested) -> Asked:
    """How its release will ask: unsaid, greedily; without a seed of its own, with seed 1."""
    said = request.decoding
    decoding = {
        "temperature": said.temperature,
        "top_p": said.top_p or 1.0,
        "top_k": said.top_k,
        "frequency_penalty": said.frequency_penalty,
        "presence_penalty": said.presence_penalty,
        "seed": said.seed or 1,
    }
    return Asked(request.prompt_template, decoding)


def progress(step: str, done: float) -> Progress:
    """How far the build is, for its record."""
    return Progress(STEPS.index(step), len(STEPS), {"done": done})


def engine(
    target: Target, digest: str, weights: Artifact, tokenizer: Artifact, chat: Chat
) -> Engine:
    return Engine(
        digest=digest,
        runtime=target.runtime,
        runtime_version=target.runtime_version,
        precision=target.precision,
        hardware=target.hardware,
        weights=weights,
        tokenizer=tokenizer,
        chat_template=chat.template,
        bos_token=chat.bos_token,
        eos_token=chat.eos_token,
    )


def measured(text: str | bytes) -> Measured:
    """``measured.json`` of the job.

    Raises:
        Poison: ``bad_engine`` when a figure is not a number: the engine speaks noise.
    """
    told = json.loads(text)
    rows = [Row(**row) for row in told["rows"]]
    if not all(math.isfinite(row.engine_loss) and math.isfinite(row.difference) for row in rows):
        raise Poison("the engine gives log-probabilities that are not numbers", code="bad_engine")
    known = Probe.__dataclass_fields__
    return Measured(
        rows=rows,
        probes=[
            Probe(**{key: value for key, value in probe.items() if key in known})
            for probe in told["probes"]
        ],
        speeds=[Speed(**speed) for speed in told["speeds"]],
        left_out=told["left_out"],
    )


def report(made: EngineBuilt, order: Order, verdict: Verdict, figures: bytes) -> bytes:
    """The gate's report: JSON with the verdict, the bounds and every row."""
    return json.dumps(
        {
            "build_id": made.build_id,
            "application": made.application,
            "model_digest": made.model_digest,
            "engine": {
                "digest": made.engine.digest,
                "runtime": made.engine.runtime,
                "runtime_version": made.engine.runtime_version,
                "precision": made.engine.precision,
                "hardware": made.engine.hardware,
                "size_bytes": made.size_bytes,
            },
            "order": asdict(order),
            "verdict": asdict(verdict),
            "measured": json.loads(figures),
        },
        indent=1,
    ).encode()


def judged(made: EngineBuilt, verdict: Verdict, found: Measured) -> None:
    """Write the verdict into the event."""
    made.passed = verdict.passed
    made.reasons[:] = verdict.reasons
    made.mean_abs_logprob_difference = verdict.difference
    made.loss_difference.CopyFrom(Interval(**asdict(verdict.loss)))
    made.greedy_agreement = verdict.agreement
    made.tokens_per_s = verdict.tokens_per_s
    made.first_token_p95_s = verdict.first_token_p95_s
    made.identical_answers = verdict.identical
    made.repeated_answers = verdict.repeated
    made.throughput.extend(
        Throughput(streams=speed.streams, tokens_per_s=speed.tokens_per_s) for speed in found.speeds
    )


def completion(event: EngineBuilt) -> Outcome:
    """The end of the build's record; it carries the event that announces it."""
    return Outcome(JobState.COMPLETED, result=event.SerializeToString(deterministic=True))


def failed(job: Job, log: Artifact | None) -> EngineFailed:
    request = request_of(job)
    return EngineFailed(
        build_id=request.build_id,
        campaign_id=request.campaign_id,
        application=request.application,
        model_digest=request.model.digest,
        code=failure_code(job.code),
        reason=job.reason,
        log=log,
    )


def build(job: Job, versions: Mapping[str, str]) -> service.EngineBuild:
    """A build as the gRPC door shows it; ``versions`` are those of the runtimes here."""
    request = request_of(job)
    wanted = order(request.order)
    done: dict[str, Any] = {}
    if job.state is JobState.COMPLETED:
        made = EngineBuilt.FromString(job.result)
        current = versions.get(made.engine.runtime)
        done = {"built": made, "stale": stale(made.engine.runtime_version, current)}
    return service.EngineBuild(
        build_id=job.key,
        campaign_id=request.campaign_id,
        application=request.application,
        model_digest=request.model.digest,
        state=STATES[job.state],
        attempt=job.attempt,
        step=STEPS[min(job.progress.step, len(STEPS) - 1)] if job.attempt else "",
        done=job.progress.figures.get("done", 0.0),
        code=job.code,
        reason=job.reason,
        order=EngineOrder(**asdict(wanted)),
        current_version=versions.get(wanted.runtime, ""),
        **done,
    )
