"""A tracer of a test's own."""

import pytest
from opentelemetry import trace

from libs.runtime import tracing


@pytest.fixture
def tracer_provider(monkeypatch: pytest.MonkeyPatch) -> tracing.Provider:
    """In place of the process's own; nobody sees its spans until a processor is added."""
    made = tracing.Provider()
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", made)
    monkeypatch.setattr(tracing, "tracer", made.get_tracer("perennial"))
    return made
