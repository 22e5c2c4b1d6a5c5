"""Applications, models, engines, releases, datasets. Field names are those of the contracts."""

from dataclasses import dataclass, field

from services.registry.domain.canonical import later
from services.registry.domain.policies import EnginePolicy, Objective, Provider, Serving


@dataclass(frozen=True, slots=True)
class Artifact:
    uri: str = ""
    sha256: str = ""
    size_bytes: int = 0
    media_type: str = ""


@dataclass(frozen=True, slots=True)
class Engine:
    digest: str = ""
    runtime: str = ""
    runtime_version: str = ""
    precision: str = ""
    hardware: str = ""
    weights: Artifact | None = None
    tokenizer: Artifact | None = None
    chat_template: str = ""
    provider: Provider | None = None
    bos_token: str = later("")
    eos_token: str = later("")


@dataclass(frozen=True, slots=True)
class Model:
    digest: str = ""
    base_digest: str = ""
    adapter: Artifact | None = None
    merged: Artifact | None = None
    engine: Engine | None = None
    dataset_digest: str = ""


@dataclass(frozen=True, slots=True)
class Decoding:
    """``top_p`` 0 means 1; ``temperature`` 0 is greedy."""

    max_tokens: int = 0
    temperature: float = 0.0
    top_p: float = 0.0
    seed: int = 0
    top_k: int = later(0)
    frequency_penalty: float = later(0.0)
    presence_penalty: float = later(0.0)


@dataclass(frozen=True, slots=True)
class Prompt:
    """One version of an application's prompt; ``template`` "" is the question itself."""

    version: int = 0
    template: str = ""
    variables: tuple[str, ...] = ()
    max_characters: int = 0


@dataclass(frozen=True, slots=True)
class RowFilter:
    """Times as RFC 3339 has them; "" is no bound, and all segments."""

    since: str = later("")
    until: str = later("")
    segment: str = later("")

    def __str__(self) -> str:
        since, until = self.since and f" since {self.since}", self.until and f" until {self.until}"
        return f"rows{since}{until}{self.segment and f' of {self.segment}'}"


@dataclass(frozen=True, slots=True)
class DatasetQuery:
    """Which rows a dataset version takes; 0 rows means all of them."""

    collection: str = ""
    segment_label: str = ""
    max_train_rows_per_segment: int = 0
    max_held_out_rows_per_segment: int = 0
    only: RowFilter | None = None
    always: RowFilter | None = None


@dataclass(frozen=True, slots=True)
class Recipe:
    """How the trainer tunes; 0 is the trainer's default."""

    lora_rank: int = 0
    lora_alpha: int = 0
    first_layer: int = 0
    learning_rate: float = 0.0
    epochs: int = 0
    batch_size: int = 0
    seed: int = 0
    checkpoint_steps: int = 0


@dataclass(frozen=True, slots=True)
class Gate:
    """The offline gate, in nats per answer token."""

    worse_margin: float = 0.0
    least_gain: float = 0.0
    generated_rows: int = 0


@dataclass(frozen=True, slots=True)
class Stage:
    """A canary stage: share of episodes, and answers until the next stage."""

    share: float = 0.0
    requests: int = 0


@dataclass(frozen=True, slots=True)
class Rollout:
    shadow_requests: int = 0
    shadow_share: float = 0.0
    stages: tuple[Stage, ...] = ()
    margin: float = 0.0
    alpha: float = 0.0
    max_scored: int = 0
    review: bool = False


@dataclass(frozen=True, slots=True)
class Drift:
    reference_events: int = 0
    average_run_length: float = 0.0
    new_rows: int = 0
    cooldown_s: float = 0.0
    campaign_budget: int = 0
    segment_labels: tuple[str, ...] = later(())
    approval: bool = later(False)
    quiet_from_hour: int = later(0)
    quiet_to_hour: int = later(0)
    cost_per_hour: float = later(0.0)
    cost_budget: float = later(0.0)
    least_gain: float = later(0.0)
    seasonal: bool = later(False)
    conditional: bool = later(False)
    first_run_s: float = later(0.0)


@dataclass(frozen=True, slots=True)
class Application:
    """One task of one tenant. After `application.complete` every number is a real one."""

    name: str = ""
    prompt_template: str = ""
    decoding: Decoding = field(default_factory=Decoding)
    dataset: DatasetQuery = field(default_factory=DatasetQuery)
    recipe: Recipe = field(default_factory=Recipe)
    gate: Gate = field(default_factory=Gate)
    rollout: Rollout = field(default_factory=Rollout)
    drift: Drift = field(default_factory=Drift)
    serving: Serving = later(Serving())  # noqa: RUF009  (it is frozen)
    engine: EnginePolicy = later(EnginePolicy())  # noqa: RUF009  (it is frozen)
    objectives: tuple[Objective, ...] = later(())
    prompt_variables: tuple[str, ...] = later(())
    currency: str = later("")


@dataclass(frozen=True, slots=True)
class Dataset:
    """A dataset version as the registry knows it."""

    dataset_digest: str = ""
    manifest: Artifact | None = None
    train: Artifact | None = None
    held_out: Artifact | None = None


@dataclass(frozen=True, slots=True)
class Release:
    """The immutable thing that is served; ``digest`` covers all the rest."""

    digest: str = ""
    application: str = ""
    model_digest: str = ""
    engine: Engine = field(default_factory=Engine)
    prompt_template: str = ""
    decoding: Decoding = field(default_factory=Decoding)
    prompt: Prompt | None = None


@dataclass(frozen=True, slots=True)
class Proposal:
    """A release that differs from an earlier one in what is set here. ``rebuild``: its engine.
    ``upgrade``: the champion's engine, for the runtime of today, and nothing else."""

    release_digest: str = ""
    prompt_version: int = 0
    decoding: Decoding | None = None
    provider: Provider | None = None
    rebuild: bool = False
    upgrade: bool = False


@dataclass(frozen=True, slots=True)
class Evidence:
    """A number that a decision rests on, with its interval where it has one."""

    name: str
    value: float
    lower: float = 0.0
    upper: float = 0.0
    n: int = 0
