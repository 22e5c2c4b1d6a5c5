"""What the join says, as events and dead letters on any sink."""

from libs.events.headers import DLQ_CODE, DLQ_ORIGIN, DLQ_REASON
from libs.events.topics import FEEDBACK_GIVEN, FEEDBACK_JOINED
from libs.faults import Poison
from libs.kafka import outgoing
from libs.kafka.record import Sink
from services.feedback import wire
from services.feedback.domain import Code, Joined, Output, Refused


def send(sink: Sink, output: Output) -> Output:
    """Queue ``output`` under an id that its repetition has too; returns what was sent.

    An event that is too large is refused instead.
    """
    if isinstance(output, Refused):
        _refuse(sink, output)
        return output
    try:
        _announce(sink, output)
    except Poison as poison:
        return send(sink, Refused(output.feedback, Code.OVERSIZE, str(poison)))
    return output


def _announce(sink: Sink, joined: Joined) -> None:
    event_id = wire.event_id(joined.feedback)
    sink.send(FEEDBACK_JOINED, wire.joined(joined), event_id=event_id)


def _refuse(sink: Sink, refused: Refused) -> None:
    """Into the dead letters of feedback.given.v1, as an event that can be sent again."""
    event = wire.given(refused.feedback)
    key, value, head = outgoing.encode(FEEDBACK_GIVEN, event, wire.event_id(refused.feedback))
    why = (
        (DLQ_CODE, refused.code.encode()),
        (DLQ_REASON, refused.reason.encode()),
        (DLQ_ORIGIN, f"{FEEDBACK_GIVEN.name}/{refused.feedback.feedback_id}".encode()),
    )
    sink.send_raw(FEEDBACK_GIVEN.dead_letters, key, value, (*head, *why))
