"""The monitor as a process on real Kafka: killed in the middle, it rings once at the same event."""

import urllib.request
from collections.abc import Callable, Sequence
from typing import Any
from uuid import uuid4

import grpc
import pytest

from libs.events import codec
from libs.events.topics import (
    APPLICATION_APPLIED,
    DECISION_MADE,
    DRIFT_DETECTED,
    FEEDBACK_JOINED,
    GENERATION_SERVED,
    RETRAINING_TRIGGERED,
    ROUTING,
    SLO_BREACHED,
    Topic,
)
from libs.kafka.confluent import KafkaSink, KafkaSource
from libs.runtime.config import KafkaSettings
from protos.feedback.v1.feedback_events_pb2 import FeedbackJoined
from protos.monitor.v1 import monitor_service_pb2 as pb
from protos.monitor.v1.monitor_events_pb2 import VERDICT_RETRAIN, VERDICT_WAIT_FOR_LABELS
from protos.monitor.v1.monitor_service_pb2_grpc import MonitorServiceStub
from protos.registry.v1.application_pb2 import Application, DriftPolicy, Objective
from protos.registry.v1.registry_events_pb2 import (
    ROLE_CHAMPION,
    ApplicationApplied,
    Release,
    Route,
    RoutingTable,
)
from services.monitor.domain.cause import PLAIN_EVENTS
from services.monitor.domain.policy import Policy
from services.monitor.domain.ratings import ratings
from services.monitor.domain.watch import watch
from services.monitor.wire import incoming
from tests.stack import ServiceProcess
from tests.unit.services.monitor.traffic import Traffic, corrected, rated, served, thumbs
from tests.waiting import eventually

CALL_S = 20.0
REFERENCE, QUIET, FAR = 90, 210, 40 + PLAIN_EVENTS


class Monitor:
    """The service and its door."""

    def __init__(self, process: ServiceProcess) -> None:
        self.process = process

    @property
    def stub(self) -> MonitorServiceStub:
        return MonitorServiceStub(self.process.door)

    def events(self, application: str) -> int:
        """Events of the input signal, reference included."""
        request = pb.ListSignalsRequest(application=application)
        signals = self.stub.ListSignals(request, timeout=CALL_S).signals
        return max((each.events for each in signals), default=0)

    def metrics(self) -> str:
        url = f"http://127.0.0.1:{self.process.ops_port}/metrics"
        with urllib.request.urlopen(url, timeout=CALL_S) as page:
            text: str = page.read().decode()
        return text


def windows(channel: grpc.Channel) -> object:
    return MonitorServiceStub(channel).ListWindows(pb.ListWindowsRequest(), timeout=2)


@pytest.fixture
def monitor(service: Callable[..., ServiceProcess]) -> Monitor:
    return Monitor(service("monitor", windows))


def expected_alarm(application: str) -> int:
    """The event at which the detector rings when nothing is ever interrupted."""
    traffic, found = Traffic(3), watch(application, "r1", REFERENCE, 10_000)
    for number in range(QUIET + FAR):
        if alarms := found.observe(traffic.sample(far=number >= QUIET)):
            return alarms[0].at_event
    raise AssertionError("no alarm")


def expected_rating(given: Sequence[FeedbackJoined]) -> int:
    """Likewise, of ratings."""
    found = ratings(given[0].application, "r1")
    for event in given:
        feedback = incoming.feedback(event, 0.0)
        if alarm := found.observe(feedback, event.rating, Policy()):
            return alarm.at_event
    raise AssertionError("no alarm")


def heard(brokers: str, topic: Topic[Any], application: str) -> list[Any]:
    """Every event of ``application`` on ``topic``."""
    source = KafkaSource(KafkaSettings(brokers=brokers), uuid4().hex, [topic.name])
    found: list[Any] = []

    def arrived() -> bool:
        ours = [each for each in source.poll(500, 1.0) if each.key == application.encode()]
        found.extend(codec.decode(topic, each.value or b"") for each in ours)
        return bool(found)

    eventually(arrived, within_s=60)
    arrived()  # what came behind the first one
    source.close()
    return found


def test_a_kill_in_the_middle_leaves_one_alarm_at_the_same_event(
    brokers: str, monitor: Monitor
) -> None:
    name, traffic = f"test-{uuid4().hex[:12]}", Traffic(3)
    said = [*thumbs(300, 0.9), *thumbs(200, 0.2, seed=2, first=300)]
    ratings_of_another = [rated(*each, f"{name}-rated") for each in said]
    sink = KafkaSink(KafkaSettings(brokers=brokers))
    drift = DriftPolicy(reference_events=REFERENCE, average_run_length=10_000, new_rows=5)
    slow = Objective(name="latency", threshold=0.1, target=0.9)
    declared = Application(name=name, drift=drift, objectives=[slow])
    sink.send(APPLICATION_APPLIED, ApplicationApplied(application=declared, revision=1))
    champion = Route(release=Release(digest="r1"), role=ROLE_CHAMPION)
    sink.send(ROUTING, RoutingTable(application=name, version=1, routes=[champion]))
    sink.flush()

    for number in range(QUIET + FAR):
        sink.send(GENERATION_SERVED, served(traffic, far=number >= QUIET, application=name))
        if number == 120:
            for event in ratings_of_another[:150]:
                sink.send(FEEDBACK_JOINED, event)
            sink.flush()
            eventually(lambda: monitor.events(name) >= 100, within_s=60)
            monitor.process.kill()
    for event in ratings_of_another[100:]:  # some of them once more
        sink.send(FEEDBACK_JOINED, event)
    sink.flush()
    monitor.process.start()

    [alarm] = heard(brokers, DRIFT_DETECTED, name)
    heard(brokers, DECISION_MADE, name)  # its cause is known, it waits for corrections
    for number in range(8):
        sink.send(FEEDBACK_JOINED, corrected(number, name))
    sink.flush()
    [trigger] = heard(brokers, RETRAINING_TRIGGERED, name)
    [breach] = heard(brokers, SLO_BREACHED, name)
    decisions = heard(brokers, DECISION_MADE, name)
    assert alarm.at_event == expected_alarm(name)
    assert (alarm.signal, alarm.cause) == ("prompt_embedding", "input")
    assert trigger.release_digest == "r1"
    assert (breach.objective, breach.severity, breach.resolved) == ("latency", "page", False)
    assert [made.verdict for made in decisions] == [VERDICT_WAIT_FOR_LABELS, VERDICT_RETRAIN]
    [turned] = heard(brokers, DRIFT_DETECTED, f"{name}-rated")
    assert (turned.signal, turned.cause) == ("feedback", "behaviour")
    assert turned.at_event == expected_rating(ratings_of_another)
    told = f'perennial_slo_breached{{application="{name}",objective="latency 0.1",severity="page"}}'
    assert f"{told} 1.0" in monitor.metrics()


def test_the_door_needs_the_operators_token(monitor: Monitor) -> None:
    stranger = MonitorServiceStub(monitor.process.channel("not-the-token"))

    with pytest.raises(grpc.RpcError) as refused:
        stranger.ListSignals(pb.ListSignalsRequest(), timeout=CALL_S)

    assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED
