"""OpenTelemetry context: in and out of Kafka headers and gRPC metadata (W3C Trace Context)."""

from collections.abc import Iterable

from opentelemetry import context, propagate, trace
from opentelemetry.context import Context
from opentelemetry.sdk.trace import TracerProvider


def configure() -> None:
    """Give each process a tracer that makes real trace ids. Exporters are the deployment's."""
    trace.set_tracer_provider(TracerProvider())


def outgoing() -> list[tuple[str, str]]:
    """The current span as ``traceparent``/``tracestate`` pairs; empty outside a span."""
    carrier: dict[str, str] = {}
    propagate.inject(carrier)
    return list(carrier.items())


def incoming(headers: Iterable[tuple[str, str | bytes]]) -> Context:
    """The caller's context from header or metadata pairs."""
    carrier = {
        name.lower(): value.decode(errors="replace") if isinstance(value, bytes) else value
        for name, value in headers
        if name.lower() in {"traceparent", "tracestate"}
    }
    return propagate.extract(carrier, context=context.Context())


tracer = trace.get_tracer("perennial")
