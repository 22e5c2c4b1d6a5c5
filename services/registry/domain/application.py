"""What an application may say, and what it means where it says nothing."""

import math
import re
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from typing import Final

from jinja2 import StrictUndefined, TemplateError, meta
from jinja2.sandbox import ImmutableSandboxedEnvironment

from services.registry.domain.values import (
    Application,
    Decoding,
    Drift,
    Gate,
    Rollout,
    Stage,
)

NAME: Final = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
MAX_TEMPLATE_CHARACTERS: Final = 16_384
DEFAULT_MAX_TOKENS: Final = 256
DEFAULT_STAGES: Final = (Stage(0.05, 20), Stage(0.25, 40), Stage(0.5, 0))


class Invalid(ValueError):
    """An application that cannot be applied; the message says why and what is asked."""


def complete(application: Application) -> Application:
    """Fill every default in, and check the whole.

    Raises:
        Invalid: naming the first field that is out of bounds.
    """
    full = replace(
        application,
        decoding=_decoding(application.decoding),
        gate=_gate(application.gate),
        rollout=_rollout(application.rollout),
        drift=_drift(application.drift),
    )
    for problem in _problems(full):
        raise Invalid(problem)
    return full


def _decoding(given: Decoding) -> Decoding:
    return replace(
        given, max_tokens=given.max_tokens or DEFAULT_MAX_TOKENS, top_p=given.top_p or 1.0
    )


def _gate(given: Gate) -> Gate:
    return Gate(
        worse_margin=given.worse_margin or 0.08,
        least_gain=given.least_gain or 0.10,
        generated_rows=given.generated_rows or 24,
    )


def _rollout(given: Rollout) -> Rollout:
    return replace(
        given,
        shadow_requests=given.shadow_requests or 20,
        shadow_share=given.shadow_share or 0.5,
        stages=given.stages or DEFAULT_STAGES,
        margin=given.margin or 0.05,
        alpha=given.alpha or 0.05,
        max_scored=given.max_scored or 600,
    )


def _drift(given: Drift) -> Drift:
    return Drift(
        reference_events=given.reference_events or 500,
        average_run_length=given.average_run_length or 100_000.0,
        new_rows=given.new_rows or 200,
        cooldown_s=given.cooldown_s,
        campaign_budget=given.campaign_budget or 10,
    )


def _problems(full: Application) -> Iterator[str]:
    if not NAME.fullmatch(full.name):
        yield f"name {full.name[:80]!r}: 1 to 63 of a-z, 0-9 and inner hyphens"
    yield from _template_problems(full.prompt_template)
    yield from _bounds(full)
    yield from _stage_problems(full.rollout.stages)


def _template_problems(template: str) -> Iterator[str]:
    if not template:
        return
    if len(template) > MAX_TEMPLATE_CHARACTERS:
        yield f"prompt_template has {len(template)} of at most {MAX_TEMPLATE_CHARACTERS} characters"
        return
    environment = ImmutableSandboxedEnvironment(undefined=StrictUndefined)
    try:
        names = meta.find_undeclared_variables(environment.parse(template))
        environment.from_string(template)
    except (TemplateError, RecursionError) as error:
        yield f"prompt_template does not compile: {error}"
        return
    if names != {"question"}:
        yield f"prompt_template must use `question` and nothing else; it uses {sorted(names)}"


def _bounds(full: Application) -> Iterator[str]:
    """Each number with its bounds: (name, value, least, most), both ends allowed."""
    decoding, gate, rollout, drift = full.decoding, full.gate, full.rollout, full.drift
    bounds: tuple[tuple[str, float, float, float], ...] = (
        ("decoding.max_tokens", decoding.max_tokens, 1, 8192),
        ("decoding.temperature", decoding.temperature, 0, 2),
        ("decoding.top_p", decoding.top_p, 1e-6, 1),
        ("recipe.lora_rank", full.recipe.lora_rank, 0, 256),
        ("recipe.lora_alpha", full.recipe.lora_alpha, 0, 1024),
        ("recipe.learning_rate", full.recipe.learning_rate, 0, 0.1),
        ("recipe.epochs", full.recipe.epochs, 0, 100),
        ("recipe.batch_size", full.recipe.batch_size, 0, 1024),
        ("gate.worse_margin", gate.worse_margin, 1e-9, 100),
        ("gate.least_gain", gate.least_gain, 1e-9, 100),
        ("gate.generated_rows", gate.generated_rows, 1, 10_000),
        ("rollout.shadow_requests", rollout.shadow_requests, 1, 1_000_000),
        ("rollout.shadow_share", rollout.shadow_share, 1e-6, 1),
        ("rollout.margin", rollout.margin, 1e-3, 0.5),
        ("rollout.alpha", rollout.alpha, 1e-9, 0.5),
        ("rollout.max_scored", rollout.max_scored, 1, 100_000_000),
        ("drift.reference_events", drift.reference_events, 30, 1_000_000),
        ("drift.average_run_length", drift.average_run_length, 100, 1e12),
        ("drift.new_rows", drift.new_rows, 1, 100_000_000),
        ("drift.cooldown_s", drift.cooldown_s, 0, 1e9),
        ("drift.campaign_budget", drift.campaign_budget, 1, 100_000),
    )
    for name, value, least, most in bounds:
        if not (math.isfinite(value) and least <= value <= most):
            yield f"{name} is {value:g}: it must lie in [{least:g}, {most:g}]"


def _stage_problems(stages: tuple[Stage, ...]) -> Iterator[str]:
    if len(stages) > 10:
        yield f"rollout.stages: {len(stages)} of at most 10"
    shares = [stage.share for stage in stages]
    if not all(0 < share <= 0.5 for share in shares):
        yield f"rollout.stages: shares {shares} must lie in (0, 0.5]"
    if any(later <= earlier for earlier, later in pairwise(shares)):
        yield f"rollout.stages: shares {shares} must grow"
