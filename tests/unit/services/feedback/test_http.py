"""POST /v1/feedback."""

import pytest
from fastapi.testclient import TestClient

from libs.events.topics import FEEDBACK_GIVEN
from libs.kafka.memory import MemoryBroker
from libs.rpc import auth
from libs.runtime.clock import ManualClock
from services.feedback.adapters.doors import GiveOnKafka
from services.feedback.handlers import GiveFeedback
from services.feedback.http import make_door
from tests.unit.services.feedback.fakes import ID

KEY = {"authorization": "Bearer secret-key"}


def client(broker: MemoryBroker) -> TestClient:
    def application(key: str) -> str | None:
        return "bank" if key == auth.digest("secret-key") else None

    give = GiveFeedback(application, GiveOnKafka(broker.sink()), ManualClock())
    return TestClient(make_door(give), raise_server_exceptions=False)


def test_feedback_is_accepted_with_its_id() -> None:
    broker = MemoryBroker()
    body = {"feedback_id": "f", "version": 2, "generation_id": ID, "rating": 0.25}

    answer = client(broker).post("/v1/feedback", json=body, headers=KEY)

    assert (answer.status_code, answer.json()) == (202, {"feedback_id": "f"})
    assert [one.version for one in broker.events(FEEDBACK_GIVEN)] == [2]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b'"text"',
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"generation_id": 7}',
        b'{"rating": "high"}',
        b'{"unknown": 1}',
        b'{"version": -1}',
        b'{"generation_id": "nope", "rating": 0.5}',
    ],
)
def test_a_bad_body_is_a_problem_with_its_reason(body: bytes) -> None:
    answer = client(MemoryBroker()).post("/v1/feedback", content=body, headers=KEY)

    assert (answer.status_code, answer.json()["code"]) == (400, "bad_feedback")
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        (b'{"ratingValue": 1}', "unknown field 'ratingValue'; known: feedback_id, version, "),
        (b'{"generationId": 7}', "generationId: Input should be a valid string"),
        (b'{"generation_id": 7}', "generation_id: Input should be a valid string"),
        (b"[]", "Input should be an object"),
        (b"{", "Invalid JSON: EOF while parsing an object at line 1 column 1"),
    ],
)
def test_what_is_wrong_is_told_in_the_words_of_the_sender(body: bytes, detail: str) -> None:
    answer = client(MemoryBroker()).post("/v1/feedback", content=body, headers=KEY)

    assert answer.json()["detail"].startswith(detail)


def test_fields_may_be_spelled_as_json_does_and_null() -> None:
    broker = MemoryBroker()
    body = {"generationId": ID, "rating": 1, "comment": None}

    answer = client(broker).post("/v1/feedback", json=body, headers=KEY)

    assert answer.status_code == 202
    (given,) = broker.events(FEEDBACK_GIVEN)
    assert (given.generation_id, given.rating) == (ID, 1.0)


def test_what_is_not_json_is_a_415_that_says_what_to_send() -> None:
    headers = {**KEY, "content-type": "text/plain"}

    answer = client(MemoryBroker()).post("/v1/feedback", content=b"{}", headers=headers)

    assert (answer.status_code, answer.json()["code"]) == (415, "unsupported_media_type")
    assert answer.json()["detail"] == "send application/json, not text/plain"


def test_a_body_above_the_bound_is_refused() -> None:
    answer = client(MemoryBroker()).post("/v1/feedback", content=b" " * 600_000, headers=KEY)

    assert answer.status_code == 413


@pytest.mark.parametrize("headers", [{}, {"authorization": "Bearer wrong"}])
def test_a_caller_without_a_key_is_unauthenticated(headers: dict[str, str]) -> None:
    body = {"generation_id": ID, "rating": 0.5}

    answer = client(MemoryBroker()).post("/v1/feedback", json=body, headers=headers)

    assert answer.status_code == 401
