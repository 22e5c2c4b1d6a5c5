"""The service's own metrics. Labels are roles, reasons and codes only."""

from typing import Final

from prometheus_client import Counter, Gauge, Histogram

GENERATIONS: Final = Counter(
    "perennial_generations_total", "Generations by role and how they finished", ["role", "finish"]
)
REFUSALS: Final = Counter(
    "perennial_generation_refusals_total", "Requests refused before an engine saw them", ["code"]
)
LATENCY_SECONDS: Final = Histogram(
    "perennial_generation_seconds",
    "From request to last token",
    ["role"],
    buckets=(0.05, 0.1, 0.25, 0.5, 1, 2, 4, 8, 16, 32, 64),
)
FIRST_TOKEN_SECONDS: Final = Histogram(
    "perennial_generation_first_token_seconds",
    "From request to first token",
    ["role"],
    buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2, 4, 8),
)
MIRRORS_DROPPED: Final = Counter(
    "perennial_mirrors_dropped_total", "Sampled answers that were not mirrored", ["reason"]
)
EMBEDDINGS_SKIPPED: Final = Counter(
    "perennial_embeddings_skipped_total", "Events sent without an embedding", ["reason"]
)
BACKLOG_BYTES: Final = Gauge("perennial_event_spool_bytes", "Events on disk, not yet on Kafka")
