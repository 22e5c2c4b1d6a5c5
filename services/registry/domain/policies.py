"""What an application asks of the gateway, of its engines and of its service levels."""

from dataclasses import dataclass

from services.registry.domain.canonical import later


@dataclass(frozen=True, slots=True)
class Provider:
    """An OpenAI-compatible API outside; costs per million tokens. The last three say how it
    differs from OpenAI's older models; "" is as they are."""

    name: str = ""
    base_url: str = ""
    model: str = ""
    timeout_s: float = 0.0
    prompt_cost: float = 0.0
    completion_cost: float = 0.0
    max_tokens_parameter: str = later("")
    omit: tuple[str, ...] = later(())
    json: str = later("")


@dataclass(frozen=True, slots=True)
class Admission:
    concurrency: int = 0
    queue: int = 0
    max_wait_s: float = 0.0
    tokens_per_s: float = 0.0
    burst_tokens: int = 0
    weight: float = 0.0


@dataclass(frozen=True, slots=True)
class Cache:
    enabled: bool = False
    ttl_s: float = 0.0
    entries: int = 0
    prefix: bool = later(False)


@dataclass(frozen=True, slots=True)
class Sentinel:
    """No ``probes``: the gateway's own."""

    every_s: float = 0.0
    probes: tuple[str, ...] = ()
    average_run_length: float = 0.0


@dataclass(frozen=True, slots=True)
class Serving:
    """What the gateway grants the application."""

    admission: Admission = Admission()
    cache: Cache = Cache()
    fallbacks: tuple[Provider, ...] = ()
    sentinel: Sentinel = Sentinel()


@dataclass(frozen=True, slots=True)
class EnginePolicy:
    """What is built of a trained model, and how far it may stray; nats per token."""

    runtime: str = ""
    precision: str = ""
    max_logprob_difference: float = 0.0
    max_loss_difference: float = 0.0
    max_first_token_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Objective:
    """A service level: at least ``target`` of the answers keep to ``threshold``."""

    name: str = ""
    threshold: float = 0.0
    target: float = 0.0
    period_s: float = 0.0
