"""What an application's policies mean where they say nothing, and what they must not say."""

import math
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Final
from urllib.parse import urlsplit

from services.registry.domain.bounds import Bound, insist, outside
from services.registry.domain.policies import (
    Admission,
    EnginePolicy,
    Objective,
    Provider,
    Sentinel,
    Serving,
)
from services.registry.domain.values import Application, Drift

NAME: Final = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
CURRENCY: Final = re.compile(r"[A-Z]{3}")
BURST_S: Final = 10
MAX_TEXT: Final = 4096
MAX_TOKENS_PARAMETERS: Final = ("", "max_tokens", "max_completion_tokens")
OMISSIBLE: Final = frozenset(
    {
        *("temperature", "top_p", "seed", "stop", "frequency_penalty", "presence_penalty"),
        *("logprobs", "stream_options"),
    }
)
JSON_WAYS: Final = ("", "schema", "object", "none")
PRECISIONS: Final = {
    "openvino-genai": ("q8_0", "f16", "q4_1"),
    "tensorrt-llm": ("bf16", "fp8", "nvfp4", "int4_awq"),
}
"""Of each runtime; the first is its default."""
DROPPED: Final = re.compile(r"-drop[1-9]\d?\Z")
"""After the precision of a CPU's engine: how many decoder layers are left out."""
MEASURED: Final = frozenset(
    {"time_to_first_token", "time_per_output_token", "latency", "tokens_per_s", "cost"}
)
RATES: Final = frozenset({"errors", "refusals", "blocks"})
MONTH_S: Final = 30 * 24 * 3600.0


def complete_drift(given: Drift) -> Drift:
    return replace(
        given,
        reference_events=given.reference_events or 500,
        average_run_length=given.average_run_length or 100_000.0,
        new_rows=given.new_rows or 200,
        campaign_budget=given.campaign_budget or 10,
    )


def complete_serving(given: Serving) -> Serving:
    asked, cache, sentinel = given.admission, given.cache, given.sentinel
    finite = math.isfinite(asked.tokens_per_s)
    burst = math.ceil(BURST_S * asked.tokens_per_s) if finite else 0
    return Serving(
        admission=Admission(
            concurrency=asked.concurrency or 32,
            queue=asked.queue or 64,
            max_wait_s=asked.max_wait_s or 10.0,
            tokens_per_s=asked.tokens_per_s,
            burst_tokens=asked.burst_tokens or burst,
            weight=asked.weight or 1.0,
        ),
        cache=replace(cache, ttl_s=cache.ttl_s or 600.0, entries=cache.entries or 1000),
        fallbacks=tuple(map(complete_provider, given.fallbacks)),
        sentinel=Sentinel(
            sentinel.every_s or 300.0, sentinel.probes, sentinel.average_run_length or 10_000.0
        ),
    )


def complete_provider(given: Provider) -> Provider:
    return replace(given, timeout_s=given.timeout_s or 30.0)


def identity(provider: Provider) -> Provider:
    """What an approval is of: another price or patience is no other provider; one that is spoken
    to otherwise may answer otherwise."""
    return replace(provider, timeout_s=0.0, prompt_cost=0.0, completion_cost=0.0)


def checked_provider(given: Provider, name: str = "provider") -> Provider:
    """
    Raises:
        Invalid: naming the field.
    """
    full = complete_provider(given)
    insist(provider_problems(full, name))
    return full


def complete_engine(given: EnginePolicy) -> EnginePolicy:
    runtime = given.runtime or "openvino-genai"
    default = PRECISIONS.get(runtime, ("",))[0]
    return EnginePolicy(
        runtime=runtime,
        precision=given.precision or default,
        max_logprob_difference=given.max_logprob_difference or 0.08,
        max_loss_difference=given.max_loss_difference or 0.03,
        max_first_token_s=given.max_first_token_s or 10.0,
    )


def complete_objectives(given: tuple[Objective, ...]) -> tuple[Objective, ...]:
    return tuple(replace(each, period_s=each.period_s or MONTH_S) for each in given)


def problems(full: Application) -> Iterator[str]:
    """Of the policies of a completed application."""
    yield from outside(_serving_bounds(full.serving))
    yield from _fallback_problems(full.serving.fallbacks)
    yield from _text_problems("serving.sentinel.probes", full.serving.sentinel.probes, 64, MAX_TEXT)
    yield from _engine_problems(full.engine)
    yield from _objective_problems(full.objectives)
    yield from outside(_drift_bounds(full.drift))
    yield from _text_problems("drift.segment_labels", full.drift.segment_labels, 8, 63)
    if not CURRENCY.fullmatch(full.currency):
        yield f"currency {full.currency[:80]!r}: three capital letters, e.g. USD"


def _serving_bounds(serving: Serving) -> tuple[Bound, ...]:
    asked, cache, sentinel = serving.admission, serving.cache, serving.sentinel
    return (
        ("serving.admission.concurrency", asked.concurrency, 1, 100_000),
        ("serving.admission.queue", asked.queue, 1, 1_000_000),
        ("serving.admission.max_wait_s", asked.max_wait_s, 1e-3, 3600),
        ("serving.admission.tokens_per_s", asked.tokens_per_s, 0, 1e9),
        ("serving.admission.burst_tokens", asked.burst_tokens, 0, 4_294_967_295),
        ("serving.admission.weight", asked.weight, 1e-3, 1000),
        ("serving.cache.ttl_s", cache.ttl_s, 1e-3, 30 * 24 * 3600),
        ("serving.cache.entries", cache.entries, 1, 10_000_000),
        ("serving.sentinel.every_s", sentinel.every_s, 1e-3, 30 * 24 * 3600),
        ("serving.sentinel.average_run_length", sentinel.average_run_length, 10, 1e12),
    )


def _fallback_problems(providers: tuple[Provider, ...]) -> Iterator[str]:
    if len(providers) > 8:
        yield f"serving.fallbacks: {len(providers)} of at most 8"
    if len({provider.name for provider in providers}) < len(providers):
        yield "serving.fallbacks: two have the same name"
    for number, provider in enumerate(providers):
        yield from provider_problems(provider, f"serving.fallbacks[{number}]")


def provider_problems(provider: Provider, name: str) -> Iterator[str]:
    if not NAME.fullmatch(provider.name):
        yield f"{name}.name {provider.name[:80]!r}: 1 to 63 of a-z, 0-9 and inner hyphens"
    if not _is_base_url(provider.base_url):
        yield f"{name}.base_url {provider.base_url[:200]!r}: http(s)://host[:port]/..., no secrets"
    if not 0 < len(provider.model) <= 255:
        yield f"{name}.model: 1 to 255 characters"
    yield from outside(
        (
            (f"{name}.timeout_s", provider.timeout_s, 0.01, 3600),
            (f"{name}.prompt_cost", provider.prompt_cost, 0, 1e9),
            (f"{name}.completion_cost", provider.completion_cost, 0, 1e9),
        )
    )
    if provider.max_tokens_parameter not in MAX_TOKENS_PARAMETERS:
        yield f"{name}.max_tokens_parameter: one of {MAX_TOKENS_PARAMETERS[1:]}"
    if len(set(provider.omit) & OMISSIBLE) < len(provider.omit):
        yield f"{name}.omit: each once, of {sorted(OMISSIBLE)}"
    if provider.json not in JSON_WAYS:
        yield f"{name}.json {provider.json[:80]!r}: one of {JSON_WAYS[1:]}"


def _is_base_url(text: str) -> bool:
    try:
        url = urlsplit(text)
        known = url.scheme in {"http", "https"} and bool(url.hostname) and url.port != 0
    except ValueError:
        return False
    plain = not (url.username or url.password or url.query or url.fragment)
    return known and plain and len(text) <= 2048 and not re.search(r"\s", text)


def _engine_problems(engine: EnginePolicy) -> Iterator[str]:
    known = PRECISIONS.get(engine.runtime)
    if known is None:
        yield f"engine.runtime {engine.runtime[:80]!r}: one of {sorted(PRECISIONS)}"
    elif _precision(engine) not in known:
        yield f"engine.precision {engine.precision[:80]!r}: of {engine.runtime} one of {known}"
    yield from outside(
        (
            ("engine.max_logprob_difference", engine.max_logprob_difference, 1e-9, 100),
            ("engine.max_loss_difference", engine.max_loss_difference, 1e-9, 100),
            ("engine.max_first_token_s", engine.max_first_token_s, 1e-3, 3600),
        )
    )


def _precision(engine: EnginePolicy) -> str:
    pruned = engine.runtime == "openvino-genai"
    return DROPPED.sub("", engine.precision) if pruned else engine.precision


def _objective_problems(objectives: tuple[Objective, ...]) -> Iterator[str]:
    if len({each.name for each in objectives}) < len(objectives):
        yield "objectives: two have the same name"
    for number, each in enumerate(objectives):
        name = f"objectives[{number}]"
        if each.name not in MEASURED | RATES:
            yield f"{name}.name {each.name[:80]!r}: one of {sorted(MEASURED | RATES)}"
        if each.name in MEASURED:
            yield from outside(((f"{name}.threshold", each.threshold, 1e-9, 1e9),))
        elif each.threshold != 0:
            yield f"{name}.threshold: {each.name} are counted, they have none"
        yield from outside(
            (
                (f"{name}.target", each.target, 0.01, 0.99999),
                (f"{name}.period_s", each.period_s, 60, 366 * 24 * 3600),
            )
        )


def _drift_bounds(drift: Drift) -> tuple[Bound, ...]:
    return (
        ("drift.quiet_from_hour", drift.quiet_from_hour, 0, 23),
        ("drift.quiet_to_hour", drift.quiet_to_hour, 0, 23),
        ("drift.cost_per_hour", drift.cost_per_hour, 0, 1e9),
        ("drift.cost_budget", drift.cost_budget, 0, 1e12),
        ("drift.least_gain", drift.least_gain, 0, 100),
        ("drift.first_run_s", drift.first_run_s, 0, 1e7),
    )


def _text_problems(name: str, texts: tuple[str, ...], most: int, longest: int) -> Iterator[str]:
    if len(texts) > most:
        yield f"{name}: {len(texts)} of at most {most}"
    if len(set(texts)) < len(texts):
        yield f"{name}: one is there twice"
    if not all(0 < len(text) <= longest for text in texts):
        yield f"{name}: each has 1 to {longest} characters"
