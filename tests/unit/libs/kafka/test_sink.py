"""The sink, where no broker answers."""

import pytest

from libs.events.topics import DRIFT_DETECTED
from libs.faults import Retryable
from libs.kafka.confluent import KafkaSink
from libs.runtime.config import KafkaSettings
from protos.monitor.v1.monitor_events_pb2 import DriftDetected
from tests.ports import free_port


def test_a_record_that_nobody_acknowledges_is_given_up_and_told_once() -> None:
    sink = KafkaSink(KafkaSettings(brokers=f"127.0.0.1:{free_port()}"), delivery_s=0.1)
    sink.send(DRIFT_DETECTED, DriftDetected(application="bank"))

    with pytest.raises(Retryable, match="0 unacknowledged, 1 failed"):
        sink.flush()

    sink.flush()
