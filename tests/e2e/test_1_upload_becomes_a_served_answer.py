"""From a file of pairs to an answer through both doors, and back to the rows."""

import json

import openai
import pytest

from infra.demo.observe import Observer
from libs.events.topics import GENERATION_SERVED
from protos.inference.v1.inference_service_pb2 import GenerateRequest, Message
from protos.inference.v1.inference_service_pb2_grpc import InferenceServiceStub
from services.cli.lineage import lineage_of
from services.cli.session import TIMEOUT_S, Session
from tests.e2e.conftest import eventually

QUESTION = "What should I know about the fees of my account?"


def ask(session: Session, application: str) -> tuple[str, str]:
    inference = InferenceServiceStub(session.tenant("inference.rpc", application))
    request = GenerateRequest(messages=[Message(role="user", content=QUESTION)])
    answer = inference.Generate(request, timeout=TIMEOUT_S)
    return answer.generation_id, answer.text


def on_the_log(session: Session, application: str, generation_id: str) -> bool:
    events = Observer(session, application).events(GENERATION_SERVED)
    return any(delivery.event.generation_id == generation_id for delivery in events)


def test_an_answer_comes_through_grpc_and_its_event_follows(session: Session, served: str) -> None:
    generation_id, text = ask(session, served)

    assert text.strip()
    eventually(lambda: on_the_log(session, served, generation_id), "the event of the answer")


def test_the_openai_client_gets_an_answer_streamed_and_not(session: Session, served: str) -> None:
    client = openai.OpenAI(
        base_url=f"http://{session.address('inference.http')}/v1", api_key=session.api_key(served)
    )

    whole = client.chat.completions.create(
        model=served, messages=[{"role": "user", "content": QUESTION}], temperature=0
    )
    pieces = client.chat.completions.create(
        model=served, messages=[{"role": "user", "content": QUESTION}], temperature=0, stream=True
    )
    streamed = "".join(piece.choices[0].delta.content or "" for piece in pieces if piece.choices)

    assert whole.choices[0].message.content
    assert streamed.strip()


def test_an_answer_is_traced_back_to_the_events_of_its_training_rows(
    session: Session, served: str
) -> None:
    generation_id, _ = ask(session, served)
    eventually(lambda: on_the_log(session, served, generation_id), "the event of the answer")

    found = lineage_of(session, generation_id)

    assert found["training_rows"] > 0
    assert all(
        row["source"].startswith("ingest.record-received.v1/") for row in found["nearest_rows"]
    )
    json.dumps(found)


def test_a_campaign_recomputed_from_the_topics_agrees(session: Session, served: str) -> None:
    observer = Observer(session, served)
    (campaign,) = [one for one in observer.campaigns() if one.state == "promoted"][:1]

    replay = observer.replay(campaign.campaign_id)

    assert replay.agrees, list(replay.differences)


def test_without_a_key_no_door_opens(session: Session, served: str) -> None:
    client = openai.OpenAI(
        base_url=f"http://{session.address('inference.http')}/v1", api_key="nobody"
    )

    with pytest.raises(openai.AuthenticationError):
        client.chat.completions.create(
            model=served, messages=[{"role": "user", "content": QUESTION}]
        )
