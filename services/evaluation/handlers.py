"""One candidate: first a durable job, then a verdict."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

import structlog

from libs.events.delivery import Delivery
from libs.faults import Poison
from libs.runtime.clock import Clock
from libs.sql.jobs import Job, JobState, Outcome, Progress
from libs.sql.worker import Report
from protos.registry.v1.registry_events_pb2 import CandidateRegistered
from services.evaluation import wire
from services.evaluation.domain.comparison import RowScore, Segment, compare
from services.evaluation.domain.gate import NothingToJudge, Verdict, decide
from services.evaluation.domain.task import Task
from services.evaluation.ports import HeldOut, Keep, Score, Submit

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class OnCandidateRegistered:
    """Queue the evaluation; a repeated event queues nothing.

    What the request asks is checked by the job, so that a bad one ends as
    ``evaluation.failed.v1`` and its campaign does not wait for ever.
    """

    submit: Submit

    def __call__(self, delivery: Delivery[CandidateRegistered]) -> None:
        event = delivery.event
        if not event.campaign_id or not event.application:
            raise Poison("campaign_id or application is empty", code="bad_candidate")
        new = self.submit(event.campaign_id, event.SerializeToString(deterministic=True))
        log.info("evaluation.queued", campaign_id=event.campaign_id, new=new)


@dataclass(frozen=True, slots=True)
class Evaluate:
    """Score reference and candidate on the same rows, compare, decide, report."""

    held_out: HeldOut
    score: Score
    keep: Keep
    clock: Clock

    async def __call__(self, job: Job, report: Report) -> Outcome:
        began = self.clock.monotonic()
        task = wire.task(wire.registered(job.payload))
        rows = await asyncio.to_thread(self.held_out, task)
        both = 2 * len(rows)

        def tell_first(done: int, total: int) -> None:
            report(Progress(done * len(rows) // max(1, total), both))

        def tell_second(done: int, total: int) -> None:
            report(Progress(len(rows) + done * len(rows) // max(1, total), both))

        reference = await self.score(task.reference, task, rows, tell_first)
        candidate = await self.score(task.candidate, task, rows, tell_second)
        segments, verdict = await asyncio.to_thread(_judge, task, candidate, reference)
        kept = await asyncio.to_thread(
            self.keep, wire.report(task, verdict, segments, rows, (candidate, reference))
        )
        seconds = self.clock.monotonic() - began
        log.info(
            "evaluation.completed",
            campaign_id=task.campaign_id,
            passed=verdict.passed,
            reasons=verdict.reasons,
            seconds=round(seconds, 1),
        )
        ended = wire.completed(task, verdict, segments, kept, seconds)
        return Outcome(JobState.COMPLETED, ended.SerializeToString(deterministic=True))


def _judge(
    task: Task, candidate: Sequence[RowScore], reference: Sequence[RowScore]
) -> tuple[list[Segment], Verdict]:
    try:
        segments = compare(candidate, reference, task.campaign_id)
        return segments, decide(task.gate, segments)
    except NothingToJudge as error:
        raise Poison(str(error), code="too_few_rows") from error
    except ValueError as error:
        raise Poison(str(error), code="bad_scores") from error
