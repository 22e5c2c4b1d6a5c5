"""Spans reach a collector over OTLP, and a collector that is away holds nobody up."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import pytest
from opentelemetry import trace
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc import (
    TraceServiceServicer,
    add_TraceServiceServicer_to_server,
)
from opentelemetry.util._once import Once

from libs.runtime import tracing
from tests.ports import free_port

SOON_S = 5.0


class Collector(TraceServiceServicer):
    def __init__(self) -> None:
        self.requests: list[ExportTraceServiceRequest] = []

    def Export(self, request: ExportTraceServiceRequest, context: Any) -> Any:
        self.requests.append(request)
        return ExportTraceServiceResponse()


@pytest.fixture(autouse=True)
def untouched(monkeypatch: pytest.MonkeyPatch) -> None:
    """The process keeps its tracer."""
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", None)
    monkeypatch.setattr(trace, "_TRACER_PROVIDER_SET_ONCE", Once())
    for name in tracing.ENDPOINTS:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def collector(port: int) -> Iterator[Collector]:
    collector = Collector()
    server = grpc.server(ThreadPoolExecutor(1))
    add_TraceServiceServicer_to_server(collector, server)  # type: ignore[no-untyped-call]
    server.add_insecure_port(f"127.0.0.1:{port}")
    server.start()
    yield collector
    server.stop(0).wait()


def test_spans_reach_the_collector_by_the_time_the_process_ends(
    collector: Collector, port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{port}")
    tracing.configure("registry")

    assert tracing.exporting()
    with trace.get_tracer("test").start_as_current_span("a step"):
        pass
    tracing.finish()

    (request,) = collector.requests
    (sent,) = request.resource_spans
    named = {one.key: one.value.string_value for one in sent.resource.attributes}
    assert (named["service.name"], named["service.namespace"]) == ("registry", "perennial")
    assert [span.name for scope in sent.scope_spans for span in scope.spans] == ["a step"]


def test_a_collector_that_is_away_does_not_hold_up_the_end(
    port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tracing, "FINISH_S", 0.0)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", f"http://127.0.0.1:{port}")
    tracing.configure("registry")
    trace.get_tracer("test").start_span("a step").end()

    began = time.monotonic()
    tracing.finish()

    assert time.monotonic() - began < SOON_S


def test_nobody_exports_unless_told_where(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "")
    tracing.configure("registry")

    assert not tracing.exporting()
