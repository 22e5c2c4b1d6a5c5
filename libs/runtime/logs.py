"""Structured logs: one JSON object a line, on standard error, set up once."""

import logging
import sys
from contextvars import ContextVar
from typing import Final

import structlog
from structlog.typing import EventDict, WrappedLogger

EVENT_ID: Final[ContextVar[str]] = ContextVar("event_id", default="")
"""Of the record that is being handled; cheaper to set than what structlog binds."""


def configure(service: str, level: str) -> None:
    """Log events as JSON with service, time, level and what contextvars bound."""
    threshold = logging.getLevelNamesMapping()[level.upper()]
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            with_event_id,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True, key="at"),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    structlog.contextvars.bind_contextvars(service=service)
    logging.basicConfig(level=max(threshold, logging.WARNING), stream=sys.stderr)


def with_event_id(_: WrappedLogger, __: str, line: EventDict) -> EventDict:
    if event_id := EVENT_ID.get():
        line.setdefault("event_id", event_id)
    return line
