"""What a training run is: its recipe, and what it makes."""

import math
from dataclasses import dataclass, fields

BAD_DATASET = "bad_dataset"
BAD_RECIPE = "bad_recipe"
CANCELLED = "cancelled"
CRASHED = "crashed"


@dataclass(frozen=True, slots=True)
class Recipe:
    """LoRA fine-tuning. The defaults are for a model of 135 M weights on two cores."""

    lora_rank: int = 16
    lora_alpha: int = 32
    first_layer: int = 15
    """Adapters on decoder layers from this one on: the lower half costs 30 % and gains little."""
    learning_rate: float = 1e-3
    warmup_share: float = 0.05
    final_rate_share: float = 0.1
    """Where the cosine ends, as a share of the peak rate."""
    clip_norm: float = 1.0
    epochs: int = 1
    batch_size: int = 8
    seed: int = 0
    checkpoint_steps: int = 10


BOUNDS: dict[str, tuple[float, float]] = {
    "lora_rank": (1, 256),
    "lora_alpha": (1, 1024),
    "first_layer": (0, 1000),
    "learning_rate": (1e-8, 1.0),
    "epochs": (1, 100),
    "batch_size": (1, 256),
    "seed": (0, 2**63 - 1),
    "checkpoint_steps": (1, 100_000),
}


def objection(recipe: Recipe) -> str | None:
    """Why a recipe cannot be followed; None when it can."""
    for field in fields(recipe):
        if field.name not in BOUNDS:
            continue
        lowest, highest = BOUNDS[field.name]
        value = getattr(recipe, field.name)
        if not math.isfinite(value) or not lowest <= value <= highest:
            return f"{field.name} is {value}, not between {lowest:g} and {highest:g}"
    return None


@dataclass(frozen=True, slots=True)
class Result:
    """What a finished job reports of itself; paths are as the job wrote them."""

    steps: int
    train_loss: float
    """Nats per answer token, mean of the last tenth of the steps."""
    seconds: float
    """Spent in steps, all attempts together."""
    base_sha256: str
    adapter: str
    merged: str


def failure_code(code: str) -> str:
    """The code an ended run is announced with; a lost or used-up run has crashed."""
    return code if code in {BAD_DATASET, BAD_RECIPE, CANCELLED} else CRASHED
