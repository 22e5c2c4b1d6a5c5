"""Requests and events <-> domain values, and the bytes of a slot."""

import json
import math
import uuid
import zlib
from collections.abc import Iterable
from dataclasses import fields
from datetime import UTC, datetime
from typing import Any, Final

import uuid_utils
from google.protobuf.timestamp_pb2 import Timestamp

from libs.faults import Poison
from protos.feedback.v1.feedback_events_pb2 import FeedbackGiven, FeedbackJoined
from protos.feedback.v1.feedback_service_pb2 import GiveRequest
from protos.inference.v1.inference_events_pb2 import GenerationServed
from protos.registry.v1.registry_events_pb2 import ROLE_SHADOW, Role
from services.feedback.domain import (
    COMMENT_BYTES,
    CORRECTION_BYTES,
    Feedback,
    Generation,
    Joined,
    Slot,
)

MAX_ID: Final = 128
MAX_SLOT_BYTES: Final = 16 * 1024 * 1024
BAD: Final = "bad_feedback"
EVENT_IDS: Final = uuid.UUID("6f1b7c0e-5a0c-4f43-9d1e-2b6a6a8f6f0d")
"""Namespace of the joined events' ids."""


def requested(request: GiveRequest, application: str, now: datetime) -> Feedback:
    """What a caller asked for.

    Raises:
        Poison: ``bad_feedback`` naming the field.
    """
    return _checked(
        Feedback(
            feedback_id=request.feedback_id or str(uuid_utils.uuid7()),
            version=request.version or 1,
            generation_id=request.generation_id,
            application=application,
            rating=request.rating if request.HasField("rating") else None,
            correction=request.correction,
            comment=request.comment,
            withdrawn=request.withdrawn,
            given_at=now,
        )
    )


def event_of(event: FeedbackGiven | GenerationServed) -> Feedback | Generation:
    """A consumed event as a domain value.

    Raises:
        Poison: ``bad_feedback``, ``bad_generation``.
    """
    return feedback_of(event) if isinstance(event, FeedbackGiven) else generation_of(event)


def feedback_of(event: FeedbackGiven) -> Feedback:
    return _checked(
        Feedback(
            feedback_id=event.feedback_id,
            version=event.version or 1,
            generation_id=event.generation_id,
            application=event.application,
            rating=event.rating if event.HasField("rating") else None,
            correction=event.correction,
            comment=event.comment,
            withdrawn=event.withdrawn,
            given_at=_moment(event.given_at),
        )
    )


def generation_of(event: GenerationServed) -> Generation:
    shadow = event.role == ROLE_SHADOW or bool(event.shadow_of)
    if not event.application:
        raise Poison("application is empty", code="bad_generation")
    return Generation(
        generation_id=_uuid(event.generation_id, "bad_generation"),
        application=event.application,
        release_digest=event.release_digest,
        campaign_id=event.campaign_id,
        role=_role_name(event.role),
        canary_share=event.canary_share,
        episode_id=event.episode_id,
        subject=event.subject,
        labels={} if shadow else dict(event.labels),
        prompt="" if shadow else event.prompt,
        answer="" if shadow else event.answer,
        served_at=_moment(event.served_at),
        shadow=shadow,
    )


def given(feedback: Feedback) -> FeedbackGiven:
    """``feedback`` as it stands on the log."""
    return FeedbackGiven(
        feedback_id=feedback.feedback_id,
        version=feedback.version,
        generation_id=feedback.generation_id,
        application=feedback.application,
        rating=feedback.rating,
        correction=feedback.correction,
        comment=feedback.comment,
        withdrawn=feedback.withdrawn,
        given_at=_timestamp(feedback.given_at),
    )


def joined(pair: Joined) -> FeedbackJoined:
    feedback, generation = pair.feedback, pair.generation
    return FeedbackJoined(
        feedback_id=feedback.feedback_id,
        version=feedback.version,
        generation_id=feedback.generation_id,
        application=feedback.application,
        rating=feedback.rating,
        correction=feedback.correction,
        comment=feedback.comment,
        withdrawn=feedback.withdrawn,
        prompt=generation.prompt,
        answer=generation.answer,
        release_digest=generation.release_digest,
        campaign_id=generation.campaign_id,
        role=Role.Value(generation.role),
        canary_share=generation.canary_share,
        episode_id=generation.episode_id,
        subject=generation.subject,
        labels=dict(generation.labels),
        served_at=_timestamp(generation.served_at),
        given_at=_timestamp(feedback.given_at),
    )


def event_id(feedback: Feedback) -> str:
    """The same for the same version of the same feedback on the same answer."""
    name = f"{feedback.identity}/{feedback.generation_id}/{feedback.version}"
    return str(uuid.uuid5(EVENT_IDS, name))


def slot_bytes(slot: Slot) -> bytes:
    """JSON, deflated."""
    generation = slot.generation
    kept = {
        "opened_at": slot.opened_at.isoformat(),
        "generation": None if generation is None else _plain(generation, _GENERATION),
        "waiting": {name: _plain(one, _FEEDBACK) for name, one in slot.waiting.items()},
        "versions": slot.versions,
        "seen": slot.seen,
    }
    text = json.dumps(kept, ensure_ascii=False)
    return zlib.compress(text.encode(errors="surrogatepass"), level=1)


def slot_of(value: bytes) -> Slot:
    """The inverse of ``slot_bytes``."""
    kept: dict[str, Any] = json.loads(zlib.decompress(value, bufsize=MAX_SLOT_BYTES))
    generation = kept["generation"]
    return Slot(
        opened_at=datetime.fromisoformat(kept["opened_at"]),
        generation=None if generation is None else Generation(**_dated(generation, "served_at")),
        waiting={
            name: Feedback(**_dated(one, "given_at")) for name, one in kept["waiting"].items()
        },
        versions=kept["versions"],
        seen=kept["seen"],
    )


_GENERATION: Final = tuple(one.name for one in fields(Generation))
_FEEDBACK: Final = tuple(one.name for one in fields(Feedback))


def _plain(value: Generation | Feedback, names: Iterable[str]) -> dict[str, object]:
    """Field by field; a moment as text."""
    kept = {name: getattr(value, name) for name in names}
    return {
        name: one.isoformat() if isinstance(one, datetime) else one for name, one in kept.items()
    }


def _dated(kept: dict[str, Any], name: str) -> dict[str, Any]:
    return {**kept, name: datetime.fromisoformat(kept[name])}


def _checked(feedback: Feedback) -> Feedback:
    if not 0 < len(feedback.feedback_id) <= MAX_ID:
        raise Poison(f"feedback_id must have 1 to {MAX_ID} characters", code=BAD)
    if not feedback.application:
        raise Poison("application is empty", code=BAD)
    rating = feedback.rating
    if rating is not None and not (math.isfinite(rating) and 0.0 <= rating <= 1.0):
        raise Poison(f"rating is {rating}; it must be in [0, 1]", code=BAD)
    for name, text, bound in (
        ("correction", feedback.correction, CORRECTION_BYTES),
        ("comment", feedback.comment, COMMENT_BYTES),
    ):
        if (size := len(text.encode())) > bound:
            raise Poison(f"{name} has {size} bytes, more than {bound}", code=BAD)
    if not (feedback.withdrawn or rating is not None or feedback.correction or feedback.comment):
        raise Poison("give a rating, a correction or a comment, or withdraw", code=BAD)
    _uuid(feedback.generation_id, BAD)
    return feedback


def _uuid(text: str, code: str) -> str:
    try:
        canonical = str(uuid.UUID(text))
    except ValueError:
        canonical = ""
    if not text or text != canonical:
        raise Poison(f"generation_id {text[:64]!r} is not a lower-case UUID", code=code)
    return text


def _role_name(number: int) -> str:
    """The enum's name; unknown numbers of newer producers count as unspecified."""
    return Role.Name(number) if number in Role.values() else Role.Name(0)  # type: ignore[arg-type]


def _moment(stamp: Timestamp) -> datetime:
    try:
        return stamp.ToDatetime(tzinfo=UTC)
    except (ValueError, OverflowError):
        return datetime.fromtimestamp(0, tz=UTC)


def _timestamp(at: datetime) -> Timestamp:
    stamp = Timestamp()
    stamp.FromDatetime(at)
    return stamp
