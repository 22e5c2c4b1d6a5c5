"""The registry as a process on real Kafka: its doors, its topics, and a kill in the middle."""

from collections.abc import Callable
from typing import Any
from uuid import uuid4

import grpc
import pytest

from libs.events.topics import (
    DATASET_VERSIONED,
    ENGINE_BUILT,
    ENGINE_LOADED,
    EVALUATION_COMPLETED,
    TRAINING_COMPLETED,
)
from libs.kafka.confluent import KafkaSink
from libs.runtime.config import KafkaSettings
from protos.common.v1.common_pb2 import Artifact, Engine, ModelVersion
from protos.evaluation.v1.evaluation_events_pb2 import EvaluationCompleted
from protos.inference.v1.inference_events_pb2 import EngineLoaded
from protos.preprocessing.v1.preprocessing_events_pb2 import DatasetVersioned
from protos.registry.v1 import registry_service_pb2 as pb
from protos.registry.v1.application_pb2 import Application
from protos.registry.v1.registry_service_pb2_grpc import RegistryServiceStub
from protos.training.v1.training_events_pb2 import EngineBuilt, TrainingCompleted
from tests.stack import ServiceProcess
from tests.waiting import eventually

FILE = Artifact(uri="s3://perennial/sha256/aa", sha256="aa", size_bytes=3, media_type="x/y")
CALL_S = 20.0


class Registry:
    """The service and its door."""

    def __init__(self, process: ServiceProcess) -> None:
        self.process = process

    @property
    def stub(self) -> RegistryServiceStub:
        return RegistryServiceStub(self.process.door)

    def campaign(self, campaign_id: str) -> pb.Campaign:
        return self.stub.GetCampaign(pb.GetCampaignRequest(campaign_id=campaign_id), timeout=CALL_S)


def applications(channel: grpc.Channel) -> object:
    return RegistryServiceStub(channel).ListApplications(pb.ListApplicationsRequest(), timeout=2)


@pytest.fixture
def registry(service: Callable[..., ServiceProcess]) -> Registry:
    return Registry(service("registry", applications))


@pytest.fixture
def application(registry: Registry) -> str:
    name = f"test-{uuid4().hex[:12]}"
    registry.stub.ApplyApplication(
        pb.ApplyApplicationRequest(application=Application(name=name)), timeout=CALL_S
    )
    return name


def test_a_campaign_survives_a_kill_and_its_replay_agrees(
    brokers: str, registry: Registry, application: str
) -> None:
    sink = KafkaSink(KafkaSettings(brokers=brokers))
    campaign_id = registry.stub.StartCampaign(
        pb.StartCampaignRequest(application=application, operator="Ada"), timeout=CALL_S
    ).campaign_id
    of: dict[str, Any] = {"campaign_id": campaign_id, "application": application}

    def reach(state: str) -> None:
        sink.flush()
        eventually(lambda: registry.campaign(campaign_id).state == state, within_s=60)

    reach("preparing")
    registry.process.kill()
    dataset = DatasetVersioned(**of, dataset_digest="d1", train=FILE, held_out=FILE)
    for _ in range(2):  # delivered twice, while nobody listens
        sink.send(DATASET_VERSIONED, dataset, event_id=f"{campaign_id}-dataset")
    sink.flush()
    registry.process.start()
    reach("training")
    model = ModelVersion(digest="m1", base_digest="b", merged=FILE)
    sink.send(TRAINING_COMPLETED, TrainingCompleted(**of, model=model))
    reach("evaluating")
    sink.send(
        EVALUATION_COMPLETED,
        EvaluationCompleted(**of, candidate_digest="m1", passed=True, reasons=["better"]),
    )
    reach("building")
    engine = Engine(digest="e1", runtime="test", runtime_version="1")
    sink.send(ENGINE_BUILT, EngineBuilt(**of, model_digest="m1", engine=engine, passed=True))
    reach("loading")
    table = registry.stub.GetRouting(pb.GetRoutingRequest(application=application), timeout=CALL_S)
    digest = table.routes[0].release.digest
    sink.send(ENGINE_LOADED, EngineLoaded(**of, release_digest=digest, ready=True, replica="r"))
    reach("promoted")

    def replayed() -> pb.ReplayCampaignResponse:
        request = pb.ReplayCampaignRequest(campaign_id=campaign_id)
        return registry.stub.ReplayCampaign(request, timeout=60)

    eventually(lambda: replayed().agrees, within_s=30)
    assert replayed().events_read == 6
    told = [each.sequence for each in registry.campaign(campaign_id).transitions]
    assert told == [1, 2, 3, 4, 5, 6]
    assert registry.process.stop() == 0


def test_the_door_needs_the_operators_token(registry: Registry) -> None:
    stranger = RegistryServiceStub(registry.process.channel("not-the-token"))

    with pytest.raises(grpc.RpcError) as refused:
        stranger.ListApplications(pb.ListApplicationsRequest(), timeout=CALL_S)

    assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED


def test_bad_requests_get_their_status_and_the_service_goes_on(
    registry: Registry,
) -> None:
    with pytest.raises(grpc.RpcError) as refused:
        registry.stub.ApplyApplication(pb.ApplyApplicationRequest(), timeout=CALL_S)
    with pytest.raises(grpc.RpcError) as missing:
        registry.stub.GetCampaign(pb.GetCampaignRequest(campaign_id="x"), timeout=CALL_S)

    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert missing.value.code() is grpc.StatusCode.NOT_FOUND
    assert registry.process.answers()
