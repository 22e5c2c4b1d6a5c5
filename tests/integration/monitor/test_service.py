"""The monitor as a process on real Kafka: killed in the middle, it rings once at the same event."""

import os
import secrets
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import grpc
import pytest

from libs.events import codec
from libs.events.topics import (
    APPLICATION_APPLIED,
    DRIFT_DETECTED,
    FEEDBACK_JOINED,
    GENERATION_SERVED,
    RETRAINING_TRIGGERED,
    ROUTING,
    Topic,
)
from libs.kafka.confluent import KafkaSink, KafkaSource
from libs.rpc.client import sync_channel
from libs.runtime.config import KafkaSettings
from protos.monitor.v1 import monitor_service_pb2 as pb
from protos.monitor.v1.monitor_service_pb2_grpc import MonitorServiceStub
from protos.registry.v1.application_pb2 import Application, DriftPolicy
from protos.registry.v1.registry_events_pb2 import (
    ROLE_CHAMPION,
    ApplicationApplied,
    Release,
    Route,
    RoutingTable,
)
from services.monitor.domain.watch import watch
from tests.unit.services.monitor.traffic import Traffic, corrected, served
from tests.waiting import eventually

CALL_S = 20.0
START_S = 180.0
REFERENCE, QUIET, FAR = 90, 210, 40


class MonitorProcess:
    """``python -m services.monitor`` with a SQLite file."""

    def __init__(self, brokers: str, home: Path) -> None:
        self.token = secrets.token_hex(16)
        self.address = f"127.0.0.1:{_free_port()}"
        self._home = home
        self._env = {
            **{name: value for name, value in os.environ.items() if "PERENNIAL" not in name},
            "PERENNIAL_KAFKA__BROKERS": brokers,
            "PERENNIAL_SQL__URL": f"sqlite:///{home / 'monitor.db'}",
            "PERENNIAL_RPC__PORT": self.address.split(":")[1],
            "PERENNIAL_OPS__PORT": str(_free_port()),
            "PERENNIAL_OPERATOR_TOKEN": self.token,
        }
        self.start()

    def start(self) -> None:
        with (self._home / "monitor.log").open("ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "services.monitor"],
                env=self._env,
                stdout=output,
                stderr=output,
            )
        eventually(self.answers, within_s=START_S)

    def answers(self) -> bool:
        # A new channel each time: one that was refused waits longer and longer.
        self.stub = MonitorServiceStub(sync_channel(self.address, self.token))
        try:
            self.stub.ListWindows(pb.ListWindowsRequest(), timeout=2)
        except grpc.RpcError:
            return False
        return True

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(10)

    def events(self, application: str) -> int:
        """Events of the input signal, reference included."""
        request = pb.ListSignalsRequest(application=application)
        signals = self.stub.ListSignals(request, timeout=CALL_S).signals
        return max((each.events for each in signals), default=0)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def monitor(brokers: str, tmp_path: Path) -> Iterator[MonitorProcess]:
    process = MonitorProcess(brokers, tmp_path)
    yield process
    if process.process.poll() is None:
        process.kill()


def expected_alarm(application: str) -> int:
    """The event at which the detector rings when nothing is ever interrupted."""
    traffic, found = Traffic(3), watch(application, "r1", REFERENCE, 10_000)
    for number in range(QUIET + FAR):
        if alarms := found.observe(traffic.sample(far=number >= QUIET)):
            return alarms[0].at_event
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
    brokers: str, monitor: MonitorProcess
) -> None:
    name, traffic = f"test-{uuid4().hex[:12]}", Traffic(3)
    sink = KafkaSink(KafkaSettings(brokers=brokers))
    drift = DriftPolicy(reference_events=REFERENCE, average_run_length=10_000, new_rows=5)
    declared = Application(name=name, drift=drift)
    sink.send(APPLICATION_APPLIED, ApplicationApplied(application=declared, revision=1))
    champion = Route(release=Release(digest="r1"), role=ROLE_CHAMPION)
    sink.send(ROUTING, RoutingTable(application=name, version=1, routes=[champion]))
    sink.flush()

    for number in range(QUIET + FAR):
        sink.send(GENERATION_SERVED, served(traffic, far=number >= QUIET, application=name))
        if number == 120:
            sink.flush()
            eventually(lambda: monitor.events(name) >= 100, within_s=60)
            monitor.kill()
    for number in range(8):
        sink.send(FEEDBACK_JOINED, corrected(number, name))
    sink.flush()
    monitor.start()

    [alarm] = heard(brokers, DRIFT_DETECTED, name)
    [trigger] = heard(brokers, RETRAINING_TRIGGERED, name)
    assert alarm.at_event == expected_alarm(name)
    assert (alarm.signal, alarm.cause) == ("prompt_embedding", "input")
    assert trigger.release_digest == "r1"


def test_the_door_needs_the_operators_token(monitor: MonitorProcess) -> None:
    stranger = MonitorServiceStub(sync_channel(monitor.address, "not-the-token"))

    with pytest.raises(grpc.RpcError) as refused:
        stranger.ListSignals(pb.ListSignalsRequest(), timeout=CALL_S)

    assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED
