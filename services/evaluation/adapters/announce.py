"""The end of a job as an event, in the job's own transaction."""

from sqlalchemy.engine import Connection

from libs.events.topics import EVALUATION_COMPLETED, EVALUATION_FAILED
from libs.faults import Poison
from libs.sql.jobs import Job, JobState
from libs.sql.outbox import OutboxSink
from protos.evaluation.v1.evaluation_events_pb2 import EvaluationCompleted
from services.evaluation import wire
from services.evaluation.adapters.tables import OUTBOX


def announce(connection: Connection, job: Job) -> None:
    """Store ``evaluation.completed.v1`` or ``evaluation.failed.v1`` for the relay."""
    sink = OutboxSink(connection, OUTBOX)
    if job.state is JobState.COMPLETED:
        sink.send(EVALUATION_COMPLETED, EvaluationCompleted.FromString(job.result))
        return
    try:
        event = wire.registered(job.payload)
    except Poison:
        return  # nobody's campaign; the job's row tells of it
    sink.send(EVALUATION_FAILED, wire.failed(event, job.code, job.reason))
