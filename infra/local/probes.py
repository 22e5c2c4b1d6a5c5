"""Looking at a process from outside: is it ready? ``None`` is yes, a text is why not."""

import logging
import urllib.error
import urllib.request
from typing import Any, assert_never

from infra.local.process import Probe

WITHIN_S = 2.0

_silent = logging.getLogger("infra.local.probes.kafka")
_silent.addHandler(logging.NullHandler())
_silent.propagate = False


def unready(probe: Probe) -> str | None:
    """Asks once, for at most about ``WITHIN_S`` seconds; never raises."""
    match probe.kind:
        case "http":
            return _http(probe)
        case "kafka":
            return _kafka(probe.address)
        case "grpc":
            return _grpc(probe.address)
        case "exit":
            return None
    assert_never(probe.kind)


def _http(probe: Probe) -> str | None:
    url = f"http://{probe.address}{probe.path}"
    try:
        with urllib.request.urlopen(url, timeout=WITHIN_S) as answer:
            code, text = answer.status, ""
    except urllib.error.HTTPError as error:
        with error:
            code, text = error.code, error.read(500).decode(errors="replace").strip()
    except OSError as error:
        return f"{url}: {getattr(error, 'reason', error)}"
    return None if code in probe.accepts else f"{url}: {code} {text}".strip()


def _kafka(address: str) -> str | None:
    from confluent_kafka import KafkaException
    from confluent_kafka.admin import AdminClient

    quiet: dict[str, Any] = {"log_level": 0, "logger": _silent, "error_cb": _ignore}
    admin = AdminClient({"bootstrap.servers": address, **quiet})
    try:
        return None if admin.list_topics(timeout=WITHIN_S).brokers else f"{address}: no broker"
    except KafkaException as error:
        return f"{address}: {error.args[0].str()}"


def _grpc(address: str) -> str | None:
    import grpc
    from grpc_health.v1 import health_pb2, health_pb2_grpc

    with grpc.insecure_channel(address) as channel:
        try:
            answer = health_pb2_grpc.HealthStub(channel).Check(
                health_pb2.HealthCheckRequest(), timeout=WITHIN_S
            )
        except grpc.RpcError as error:
            return f"{address}: {error.code().name}"
    serving = answer.status == health_pb2.HealthCheckResponse.SERVING
    return None if serving else f"{address}: not serving"


def _ignore(_: object) -> None:
    """librdkafka reports a refused connection here as well as to the caller."""
