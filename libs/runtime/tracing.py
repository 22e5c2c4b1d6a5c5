"""OpenTelemetry context: in and out of Kafka headers and gRPC metadata (W3C Trace Context).

A span costs more than many a handler. While nobody exports them a record has none: what is
sent meanwhile is told the ids that its span would have had.
"""

from collections.abc import Iterable
from contextlib import AbstractContextManager
from contextvars import ContextVar, Token
from typing import Final

from opentelemetry import context, propagate, trace
from opentelemetry.context import Context
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider

Pairs = Iterable[tuple[str, str | bytes]]


class Provider(TracerProvider):
    """Knows whether its spans go anywhere."""

    exporting = False

    def add_span_processor(self, span_processor: SpanProcessor) -> None:
        super().add_span_processor(span_processor)
        self.exporting = True


SILENT: Final = (trace.ProxyTracerProvider, trace.NoOpTracerProvider)


def configure() -> None:
    """Give each process a tracer that makes real trace ids. Exporters are the deployment's."""
    trace.set_tracer_provider(Provider())


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
