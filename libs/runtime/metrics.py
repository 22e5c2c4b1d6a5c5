"""The shared instruments, declared once. Label sets are bounded: topics, codes, methods."""

from typing import Final

from prometheus_client import Counter, Gauge, Histogram

EVENTS_SETTLED: Final = Counter(
    "perennial_events_settled_total", "Events settled", ["topic", "outcome"]
)
EVENTS_PRODUCED: Final = Counter(
    "perennial_events_produced_total", "Events acknowledged", ["topic"]
)
EVENTS_LOST: Final = Counter(
    "perennial_events_lost_total", "Events given up, by reason", ["topic", "reason"]
)
EVENT_HANDLE_SECONDS: Final = Histogram(
    "perennial_event_handle_seconds", "Time in the handler, per event", ["topic"]
)
EVENT_AGE_SECONDS: Final = Gauge(
    "perennial_event_age_seconds", "Age of the newest settled event", ["topic"]
)
DEAD_LETTERS: Final = Counter(
    "perennial_dead_letters_total", "Records sent to dead letters", ["topic", "code"]
)
RPC_SECONDS: Final = Histogram("perennial_rpc_seconds", "Time of an RPC", ["method", "code"])
WORKERS: Final = Gauge(
    "perennial_workers", "Processes behind this service's ports; each has an ops port of its own"
)
WORKERS_ENDED: Final = Counter(
    "perennial_workers_ended_total", "Worker processes that ended and are started again"
)
