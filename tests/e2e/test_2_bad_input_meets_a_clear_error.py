"""Whatever comes in at a door: a clear error or a dead letter, and the service goes on."""

import json
import urllib.error
import urllib.request

import grpc
import pytest

from libs.events.topics import ALL, RECORD_SUBMITTED, Topic
from libs.kafka.confluent import KafkaSink
from libs.kafka.replay import dead_letters
from protos.inference.v1.inference_service_pb2 import GenerateRequest, Message
from protos.inference.v1.inference_service_pb2_grpc import InferenceServiceStub
from services.cli.session import TIMEOUT_S, Session
from services.cli.status import readiness
from tests.e2e.conftest import eventually

CONSUMED = [topic for topic in ALL if topic.consumers and not topic.compacted]


def post(url: str, body: bytes, key: str) -> tuple[int, str]:
    headers = {"authorization": f"Bearer {key}", "content-type": "application/json"}
    request = urllib.request.Request(url, body, headers)
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"[" * 100_000,
        b'{"model": 7}',
        json.dumps({"model": "m", "messages": "hello"}).encode(),
        json.dumps({"model": "m", "messages": [{"role": "user", "content": 1}]}).encode(),
        json.dumps({"model": "m", "messages": [], "n": 3}).encode(),
    ],
    ids=["cut", "deep", "no messages", "messages a string", "content a number", "n"],
)
def test_a_malformed_chat_request_is_a_400_that_says_why(
    session: Session, served: str, body: bytes
) -> None:
    url = f"http://{session.address('inference.http')}/v1/chat/completions"

    status, text = post(url, body, session.api_key(served))

    assert status in {400, 404, 422}
    assert json.loads(text)["error"]["message"]


def test_a_ten_megabyte_prompt_is_refused_at_the_door(session: Session, served: str) -> None:
    url = f"http://{session.address('inference.http')}/v1/chat/completions"
    message = {"role": "user", "content": "x" * 10_000_000}
    body = json.dumps({"model": served, "messages": [message]}).encode()

    status, _ = post(url, body, session.api_key(served))

    assert status in {400, 413}


def test_a_ten_megabyte_prompt_is_refused_by_grpc(session: Session, served: str) -> None:
    inference = InferenceServiceStub(session.tenant("inference.rpc", served))
    request = GenerateRequest(messages=[Message(role="user", content="x" * 10_000_000)])

    with pytest.raises(grpc.RpcError) as refused:
        inference.Generate(request, timeout=TIMEOUT_S)

    assert refused.value.code().name in {"RESOURCE_EXHAUSTED", "INVALID_ARGUMENT"}


@pytest.mark.parametrize("topic", CONSUMED, ids=lambda topic: topic.name)
def test_corrupt_bytes_become_a_dead_letter_with_its_reason(
    session: Session, topic: Topic[Message], served: str
) -> None:
    sink = KafkaSink(session.kafka())
    mark = f"corrupt {topic.name}".encode()
    sink.send_raw(topic.name, served.encode(), b"\xff\xff" + mark, ())
    sink.flush()

    def buried() -> bool:
        return any(
            letter.record.value == b"\xff\xff" + mark and letter.code == "undecodable"
            for letter in dead_letters(session.kafka(), topic.name)
        )

    eventually(buried, "the dead letter")
    for service in topic.consumers:
        assert readiness(session.address(f"{service}.ops")) == "ready"


def test_a_record_of_an_unknown_application_is_dead_lettered(session: Session, served: str) -> None:
    event = RECORD_SUBMITTED.event()
    event.record.application = "nobody"
    event.record.text = "hello"
    sink = KafkaSink(session.kafka())
    sink.send(RECORD_SUBMITTED, event)
    sink.flush()

    def buried() -> bool:
        letters = dead_letters(session.kafka(), RECORD_SUBMITTED.name)
        return any(letter.record.key == b"nobody" for letter in letters)

    eventually(buried, "the dead letter")
