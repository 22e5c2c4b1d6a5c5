"""OpenTelemetry context: in and out of Kafka headers and gRPC metadata (W3C Trace Context).

Spans go out over OTLP/gRPC once ``OTEL_EXPORTER_OTLP_ENDPOINT`` (or ``..._TRACES_ENDPOINT``) says
where; OpenTelemetry's other variables (sampler, headers, certificate, batches) hold as well. A
span costs more than many a handler. While nobody exports them a record has none: what is sent
meanwhile is told the ids that its span would have had.
"""

import os
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from contextvars import ContextVar, Token
from threading import Timer
from typing import Final

from opentelemetry import context, propagate, trace
from opentelemetry.context import Context
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider

Pairs = Iterable[tuple[str, str | bytes]]


class Provider(TracerProvider):
    """Knows whether its spans go anywhere."""

    exporting = False

    def __init__(
        self, resource: Resource | None = None, give_up: Callable[[], None] | None = None
    ) -> None:
        """``give_up``: try no more to export."""
        super().__init__(resource=resource)
        self.give_up = give_up

    def add_span_processor(self, span_processor: SpanProcessor) -> None:
        super().add_span_processor(span_processor)
        self.exporting = True


ENDPOINTS: Final = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
FINISH_S: Final = 1.0
SILENT: Final = (trace.ProxyTracerProvider, trace.NoOpTracerProvider)


def configure(service: str) -> None:
    """Give this process a tracer that makes real trace ids, and exports its spans if told where."""
    named = Resource.create({"service.name": service, "service.namespace": "perennial"})
    told_where = any(os.environ.get(name) for name in ENDPOINTS)
    trace.set_tracer_provider(_exporting(named) if told_where else Provider(named))


def finish() -> None:
    """Export what is left; a collector that is away is not tried again for long."""
    provider = trace.get_tracer_provider()
    if isinstance(provider, Provider) and provider.give_up:
        enough = Timer(FINISH_S, provider.give_up)
        enough.start()
        provider.shutdown()
        enough.cancel()


def _exporting(named: Resource) -> Provider:
    # Imported here: it takes longer than all of this library, and most processes do without.
    from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    exporter = OTLPSpanExporter()
    provider = Provider(named, give_up=exporter.shutdown)
    provider.add_span_processor(BatchSpanProcessor(exporter))
    return provider


def exporting() -> bool:
    """Whether anybody would see a span; of a provider that is not ours it is taken for granted."""
    provider = trace.get_tracer_provider()
    if isinstance(provider, Provider):
        return provider.exporting
    return not isinstance(provider, SILENT)


def outgoing() -> list[tuple[str, str]]:
    """The current span as ``traceparent``/``tracestate`` pairs; empty outside a span."""
    carrier: dict[str, str] = {}
    unspanned = _unspanned.get()
    propagate.inject(carrier, context=unspanned.context() if unspanned else None)
    return list(carrier.items())


def incoming(headers: Pairs) -> Context:
    """The caller's context from header or metadata pairs."""
    carrier = {
        name.lower(): value.decode(errors="replace") if isinstance(value, bytes) else value
        for name, value in headers
        if name.lower() in {"traceparent", "tracestate"}
    }
    return propagate.extract(carrier, context=context.Context())


def within(name: str, headers: Pairs) -> AbstractContextManager[object]:
    """A span of this name, child of the one in the headers; only its ids if nobody exports it."""
    if exporting():
        return tracer.start_as_current_span(name, context=incoming(headers))
    return _Unspanned(name, headers)


class _Unspanned:
    """What is needed to make a span's ids once somebody asks for them."""

    __slots__ = ("_context", "_headers", "_name", "_token")

    def __init__(self, name: str, headers: Pairs) -> None:
        self._name, self._headers = name, headers
        self._context: Context | None = None
        self._token: Token[_Unspanned | None] | None = None

    def __enter__(self) -> None:
        self._token = _unspanned.set(self)

    def __exit__(self, *_: object) -> None:
        if self._token is not None:
            _unspanned.reset(self._token)

    def context(self) -> Context | None:
        """None when a span was begun inside: that one is the current one."""
        if trace.get_current_span().get_span_context().is_valid:
            return None
        if self._context is None:
            parent = incoming(self._headers)
            self._context = trace.set_span_in_context(
                tracer.start_span(self._name, context=parent), parent
            )
        return self._context


_unspanned: ContextVar[_Unspanned | None] = ContextVar("unspanned", default=None)
tracer = trace.get_tracer("perennial")
