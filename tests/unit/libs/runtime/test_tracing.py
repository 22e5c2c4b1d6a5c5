"""Trace ids go from what came in to what goes out, with and without somebody who sees spans."""

import pytest
from opentelemetry.sdk.trace import SpanProcessor

from libs.runtime import tracing

CAME: tracing.Pairs = [("traceparent", b"00-" + b"a" * 32 + b"-" + b"b" * 16 + b"-01")]


def told() -> list[str]:
    """Version, trace, parent and flags of what would be sent now."""
    return dict(tracing.outgoing()).get("traceparent", "").split("-")


@pytest.mark.parametrize("exported", [False, True])
def test_what_is_sent_while_a_record_is_handled_is_its_spans_child(
    tracer_provider: tracing.Provider, exported: bool
) -> None:
    if exported:
        tracer_provider.add_span_processor(SpanProcessor())

    with tracing.within("a process", CAME):
        first, second = told(), told()

    assert tracing.exporting() is exported
    assert first == second
    assert (first[1], first[3]) == ("a" * 32, "01")
    assert first[2] not in ("b" * 16, "0" * 16)
    assert told() == [""]


@pytest.mark.usefixtures("tracer_provider")
def test_a_record_without_a_parent_begins_a_trace() -> None:
    with tracing.within("a process", []):
        one = told()[1]
    with tracing.within("a process", []):
        other = told()[1]

    assert len(one) == len(other) == 32
    assert one != other


@pytest.mark.usefixtures("tracer_provider")
def test_a_span_begun_inside_is_the_one_that_is_told() -> None:
    with (
        tracing.within("a process", CAME),
        tracing.tracer.start_as_current_span("other") as span,
    ):
        assert told()[2] == f"{span.get_span_context().span_id:016x}"
