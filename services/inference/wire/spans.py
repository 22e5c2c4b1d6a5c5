"""An answer as a span, by OpenTelemetry's GenAI conventions; prompts and answers are not in it."""

import re
from dataclasses import replace
from typing import Final

from opentelemetry.trace import Span, SpanKind, Status, StatusCode
from opentelemetry.util.types import AttributeValue

from libs.runtime import tracing
from protos.inference.v1.inference_events_pb2 import GenerationServed
from services.inference.domain.generation import Ask
from services.inference.wire.events import ROLE_VALUES

_TRACEPARENT: Final = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")

_ROLES: Final = {value: role.value for role, value in ROLE_VALUES.items()}


def in_trace(ask: Ask, traceparent: str | None) -> Ask:
    """``ask`` as part of the caller's trace. What is not valid is passed over, as W3C says."""
    if traceparent is None or not _TRACEPARENT.fullmatch(traceparent):
        return ask
    return replace(ask, traceparent=traceparent)


def begin(served: GenerationServed) -> Span:
    """A span from the request to the last token, in the caller's trace; `end` it."""
    end_ns = served.served_at.ToNanoseconds()
    span = tracing.tracer.start_span(
        f"chat {served.request_model}",
        context=tracing.incoming([("traceparent", served.traceparent)]),
        kind=SpanKind.SERVER,
        attributes=_attributes(served),
        start_time=end_ns - round(served.latency_s * 1e9),
    )
    if served.error_code:
        span.set_status(Status(StatusCode.ERROR, served.error_code))
    return span


def end(span: Span, served: GenerationServed) -> None:
    span.end(served.served_at.ToNanoseconds())


def _attributes(served: GenerationServed) -> dict[str, AttributeValue]:
    told: dict[str, AttributeValue] = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": served.provider or "perennial",
        "gen_ai.request.model": served.request_model,
        "gen_ai.response.model": served.response_model or served.request_model,
        "gen_ai.response.id": served.generation_id,
        "gen_ai.response.finish_reasons": [served.finish_reason],
        "gen_ai.response.time_to_first_chunk": served.time_to_first_token_s,
        "gen_ai.usage.input_tokens": served.prompt_tokens,
        "gen_ai.usage.output_tokens": served.completion_tokens,
        "perennial.application": served.application,
        "perennial.release.digest": served.release_digest,
        "perennial.role": _ROLES.get(served.role, ""),
    }
    if served.error_code:
        told["error.type"] = served.error_code
    if served.episode_id:
        told["gen_ai.conversation.id"] = served.episode_id
    if served.campaign_id:
        told["perennial.campaign.id"] = served.campaign_id
    return told
