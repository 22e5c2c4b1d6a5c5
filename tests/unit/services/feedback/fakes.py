"""Values and twins for the tests of feedback."""

from datetime import UTC, datetime

from protos.feedback.v1.feedback_events_pb2 import FeedbackGiven
from protos.inference.v1.inference_events_pb2 import GenerationServed
from protos.registry.v1.registry_events_pb2 import ROLE_CHAMPION

NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)
ID = "0190a000-0000-7000-8000-000000000001"


def served(generation_id: str = ID, application: str = "bank") -> GenerationServed:
    event = GenerationServed(
        generation_id=generation_id,
        application=application,
        release_digest="r" * 64,
        role=ROLE_CHAMPION,
        canary_share=0.25,
        episode_id="episode",
        subject="person",
        labels={"channel": "app"},
        prompt="How?",
        answer="So.",
        embedding=b"\0" * 768,
    )
    event.served_at.FromDatetime(NOON)
    return event


def given(generation_id: str = ID, application: str = "bank", version: int = 1) -> FeedbackGiven:
    event = FeedbackGiven(
        feedback_id="f",
        version=version,
        generation_id=generation_id,
        application=application,
        rating=0.5,
        correction="Like this.",
    )
    event.given_at.FromDatetime(NOON)
    return event
