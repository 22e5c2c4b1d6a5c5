"""Where a run stands, as one safetensors file: adapter, optimiser, random state, progress.

Runs in the model environment. No pickle is written, none is read.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from libs.artifacts.weights import RefusedFile, check_safetensors

KEEP = 2
"""Checkpoints left on disk; the older one serves when the newer is torn."""


@dataclass(slots=True)
class Progress:
    """What a resumed run must know besides tensors."""

    fingerprint: str
    """Digest of everything that shapes the run; another run's checkpoint does not match."""
    step: int = 0
    losses: list[float] = field(default_factory=list)
    seconds: float = 0.0

    def took(self, loss: float, seconds: float) -> None:
        """Count one more step."""
        self.step += 1
        self.losses.append(loss)
        self.seconds += seconds


def save(
    folder: Path,
    progress: Progress,
    adapter: dict[str, torch.nn.Parameter],
    optimiser: torch.optim.Optimizer,
) -> Path:
    """Write ``step-<n>.safetensors``, whole or not at all; drop all but the last two."""
    tensors = {"random": torch.get_rng_state()}
    for name, parameter in adapter.items():
        state = optimiser.state[parameter]
        tensors[f"adapter.{name}"] = parameter.detach()
        tensors[f"exp_avg.{name}"] = state["exp_avg"]
        tensors[f"exp_avg_sq.{name}"] = state["exp_avg_sq"]
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"step-{progress.step:06d}.safetensors"
    partial = path.with_suffix(".partial")
    save_file(tensors, partial, metadata={"progress": json.dumps(asdict(progress))})
    with partial.open("rb") as file:
        os.fsync(file.fileno())
    partial.replace(path)
    for old in sorted(folder.glob("step-*.safetensors"))[:-KEEP]:
        old.unlink()
    return path


def latest(folder: Path, fingerprint: str) -> tuple[Path, Progress] | None:
    """The newest whole checkpoint of this very run; torn or foreign ones are passed over."""
    for path in sorted(folder.glob("step-*.safetensors"), reverse=True):
        try:
            progress = Progress(**json.loads(check_safetensors(path)["progress"]))
        except (RefusedFile, KeyError, TypeError, ValueError):
            continue
        if progress.fingerprint == fingerprint:
            return path, progress
    return None


def restore(
    path: Path,
    step: int,
    adapter: dict[str, torch.nn.Parameter],
    optimiser: torch.optim.Optimizer,
) -> None:
    """Put a checkpoint's tensors in place.

    Raises:
        RefusedFile: a tensor is missing or has another shape.
    """
    check_safetensors(path)
    try:
        tensors = load_file(path)
        with torch.no_grad():
            for name, parameter in adapter.items():
                parameter.copy_(tensors[f"adapter.{name}"])
                optimiser.state[parameter] = {
                    "step": torch.tensor(float(step)),
                    "exp_avg": tensors[f"exp_avg.{name}"],
                    "exp_avg_sq": tensors[f"exp_avg_sq.{name}"],
                }
        torch.set_rng_state(tensors["random"])
    except (KeyError, RuntimeError, SafetensorError) as error:
        raise RefusedFile(f"{path.name} does not fit this run: {error}") from error
