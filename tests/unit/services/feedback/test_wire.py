"""What may come in, and that nothing is lost on the way through."""

from datetime import UTC, datetime

import pytest
from hypothesis import given as hypothetical
from hypothesis import strategies as st

from libs.faults import Poison
from protos.feedback.v1.feedback_service_pb2 import GiveRequest
from protos.registry.v1.registry_events_pb2 import ROLE_CHAMPION, ROLE_SHADOW
from services.feedback import wire
from services.feedback.domain import Joined, Slot, join
from tests.unit.services.feedback.fakes import ID, NOON, given, served


@pytest.mark.parametrize(
    "request_",
    [
        GiveRequest(generation_id="not-a-uuid", rating=0.5),
        GiveRequest(generation_id="", rating=0.5),
        GiveRequest(generation_id=ID.upper(), rating=0.5),
        GiveRequest(generation_id=ID, rating=1.1),
        GiveRequest(generation_id=ID, rating=-0.1),
        GiveRequest(generation_id=ID, rating=float("nan")),
        GiveRequest(generation_id=ID, correction="x" * (64 * 1024 + 1)),
        GiveRequest(generation_id=ID, correction="é" * (32 * 1024 + 1)),
        GiveRequest(generation_id=ID, comment="x" * (8 * 1024 + 1)),
        GiveRequest(generation_id=ID, feedback_id="f" * 129, rating=0.5),
        GiveRequest(generation_id=ID),
    ],
)
def test_a_bad_request_is_refused(request_: GiveRequest) -> None:
    with pytest.raises(Poison) as refusal:
        wire.requested(request_, "bank", NOON)

    assert refusal.value.code == "bad_feedback"


def test_a_request_without_id_and_version_gets_them() -> None:
    feedback = wire.requested(GiveRequest(generation_id=ID, rating=0.0), "bank", NOON)

    assert (feedback.version, feedback.rating) == (1, 0.0)
    assert len(feedback.feedback_id) == 36


def test_a_missing_rating_stays_missing() -> None:
    feedback = wire.requested(GiveRequest(generation_id=ID, comment="Hm."), "bank", NOON)

    assert feedback.rating is None
    assert not wire.given(feedback).HasField("rating")


def test_given_feedback_survives_its_event() -> None:
    feedback = wire.feedback_of(given())

    assert wire.feedback_of(wire.given(feedback)) == feedback


def test_the_joined_event_carries_both_sides() -> None:
    event = wire.joined(Joined(wire.feedback_of(given()), wire.generation_of(served())))

    assert (event.rating, event.correction, event.answer) == (0.5, "Like this.", "So.")
    assert (event.role, event.canary_share) == (ROLE_CHAMPION, 0.25)
    assert event.served_at.ToDatetime(tzinfo=UTC) == NOON


def test_a_shadow_keeps_no_text() -> None:
    event = served()
    event.role = ROLE_SHADOW

    generation = wire.generation_of(event)

    assert generation.shadow
    assert (generation.prompt, generation.answer) == ("", "")


def test_the_event_id_depends_on_nothing_but_the_version() -> None:
    first, again, second = (wire.feedback_of(given(version=n)) for n in (1, 1, 2))

    assert wire.event_id(first) == wire.event_id(again)
    assert wire.event_id(first) != wire.event_id(second)


@hypothetical(st.text(max_size=200).filter(lambda text: text.isprintable()), st.booleans())
def test_a_slot_survives_its_bytes(text: str, answered: bool) -> None:
    event = given()
    event.comment = text
    slot, _ = join(Slot(opened_at=datetime(2030, 1, 1, tzinfo=UTC)), wire.feedback_of(event))
    if answered:
        slot, _ = join(slot, wire.generation_of(served()))

    assert wire.slot_of(wire.slot_bytes(slot)) == slot
