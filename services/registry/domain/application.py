"""What an application may say, and what it means where it says nothing."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from typing import Final

from services.registry.domain import terms
from services.registry.domain.bounds import Bound, insist, outside
from services.registry.domain.prompts import prompt_of, prompt_problems
from services.registry.domain.values import (
    Application,
    Decoding,
    Gate,
    Rollout,
    Stage,
)

DEFAULT_MAX_TOKENS: Final = 256
DEFAULT_STAGES: Final = (Stage(0.05, 20), Stage(0.25, 40), Stage(0.5, 0))


def complete(application: Application) -> Application:
    """Fill every default in, and check the whole.

    Raises:
        Invalid: naming the first field that is out of bounds.
    """
    full = replace(
        application,
        decoding=complete_decoding(application.decoding),
        gate=_gate(application.gate),
        rollout=_rollout(application.rollout),
        drift=terms.complete_drift(application.drift),
        serving=terms.complete_serving(application.serving),
        engine=terms.complete_engine(application.engine),
        objectives=terms.complete_objectives(application.objectives),
        prompt_variables=tuple(sorted(application.prompt_variables)),
        currency=application.currency or "USD",
    )
    insist(_problems(full))
    return full


def complete_decoding(given: Decoding) -> Decoding:
    return replace(
        given, max_tokens=given.max_tokens or DEFAULT_MAX_TOKENS, top_p=given.top_p or 1.0
    )


def checked_decoding(given: Decoding) -> Decoding:
    """
    Raises:
        Invalid: naming the field.
    """
    full = complete_decoding(given)
    insist(outside(decoding_bounds(full)))
    return full


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


def _problems(full: Application) -> Iterator[str]:
    if not terms.NAME.fullmatch(full.name):
        yield f"name {full.name[:80]!r}: 1 to 63 of a-z, 0-9 and inner hyphens"
    yield from prompt_problems(prompt_of(full), "prompt_template", "prompt_variables")
    yield from outside(_bounds(full))
    yield from outside(decoding_bounds(full.decoding))
    yield from _stage_problems(full.rollout.stages)
    yield from terms.problems(full)


def decoding_bounds(decoding: Decoding) -> tuple[Bound, ...]:
    return (
        ("decoding.max_tokens", decoding.max_tokens, 1, 8192),
        ("decoding.temperature", decoding.temperature, 0, 2),
        ("decoding.top_p", decoding.top_p, 1e-6, 1),
        ("decoding.top_k", decoding.top_k, 0, 1_000_000),
        ("decoding.frequency_penalty", decoding.frequency_penalty, -2, 2),
        ("decoding.presence_penalty", decoding.presence_penalty, -2, 2),
    )


def _bounds(full: Application) -> tuple[Bound, ...]:
    gate, rollout, drift = full.gate, full.rollout, full.drift
    return (
        ("recipe.lora_rank", full.recipe.lora_rank, 0, 256),
        ("recipe.lora_alpha", full.recipe.lora_alpha, 0, 1024),
        ("recipe.learning_rate", full.recipe.learning_rate, 0, 0.1),
        ("recipe.epochs", full.recipe.epochs, 0, 100),
        ("recipe.batch_size", full.recipe.batch_size, 0, 256),
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


def _stage_problems(stages: tuple[Stage, ...]) -> Iterator[str]:
    if len(stages) > 10:
        yield f"rollout.stages: {len(stages)} of at most 10"
    shares = [stage.share for stage in stages]
    if not all(0 < share <= 0.5 for share in shares):
        yield f"rollout.stages: shares {shares} must lie in (0, 0.5]"
    if any(later <= earlier for earlier, later in pairwise(shares)):
        yield f"rollout.stages: shares {shares} must grow"
