"""The service's own metrics. Labels are roles, reasons and codes only."""

from functools import cache
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

TOKENS: Final = Counter(
    "perennial_generation_tokens_total",
    "Tokens of answers that were not kept ones, by OpenTelemetry's gen_ai.token.type",
    ["role", "token_type"],
)
MIRRORS_DROPPED: Final = Counter(
    "perennial_mirrors_dropped_total", "Sampled answers that were not mirrored", ["reason"]
)
EMBEDDINGS_SKIPPED: Final = Counter(
    "perennial_embeddings_skipped_total", "Events sent without an embedding", ["reason"]
)
BACKLOG_BYTES: Final = Gauge("perennial_event_spool_bytes", "Events on disk, not yet on Kafka")
PROVIDER_ATTEMPTS: Final = Counter(
    "perennial_provider_attempts_total", "Calls of external providers", ["provider", "outcome"]
)
PROVIDER_RETRIES: Final = Counter(
    "perennial_provider_retries_total", "Calls of a provider that were made again", ["provider"]
)
PROVIDER_BREAKER: Final = Gauge(
    "perennial_provider_breaker", "0 closed, 1 half open, 2 open", ["provider"]
)
FALLBACKS: Final = Counter(
    "perennial_fallbacks_total", "Answers sought elsewhere, by what was wrong", ["code"]
)
SHED: Final = Counter(
    "perennial_requests_shed_total", "Requests sent away, by class", ["priority", "reason"]
)
QUEUE_SECONDS: Final = Histogram(
    "perennial_generation_queue_seconds",
    "Waited for a place; those that did not wait are not in it",
    buckets=(0.01, 0.05, 0.1, 0.25, 0.5, 1, 2, 4, 8, 16),
)
WAITING: Final = Gauge("perennial_requests_waiting", "Requests that wait for a place")
CACHE_HITS: Final = Counter("perennial_cache_total", "Looked up answers", ["outcome"])
CACHE_BYTES: Final = Gauge("perennial_cache_bytes", "Kept answers")
REPAIRS: Final = Counter(
    "perennial_json_repairs_total", "Answers asked for again, because they were not the JSON wanted"
)

# Finding an instrument by its labels costs several times what counting does.
generations = cache(GENERATIONS.labels)
latency = cache(LATENCY_SECONDS.labels)
first_token = cache(FIRST_TOKEN_SECONDS.labels)
tokens = cache(TOKENS.labels)
provider_attempts = cache(PROVIDER_ATTEMPTS.labels)
provider_breaker = cache(PROVIDER_BREAKER.labels)
