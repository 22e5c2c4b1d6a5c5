"""The training job: LoRA fine-tuning of the base model on question and answer pairs.

Runs in the model environment: ``python -m services.trainer.adapters.sft WORKDIR``.
Reads ``job.json``; prints one JSON object a line; writes ``checkpoints/``, ``out/`` and
``result.json``, or ``error.json``. Killed and started again it goes on from its last checkpoint.
"""

from __future__ import annotations

import hashlib
import json
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

import torch
from peft import PeftModel

from services.trainer.adapters import checkpoint, export
from services.trainer.adapters.chat import ChatTokens
from services.trainer.adapters.files import sha256, write_json
from services.trainer.adapters.lora import Adapter, adapted, answer_loss, rate_share
from services.trainer.adapters.pairs import (
    BadDataset,
    Pair,
    batches,
    read_rows,
    tokenise,
    total_steps,
)


@dataclass(frozen=True, slots=True)
class Job:
    """``job.json``."""

    run_id: str
    base_model: str
    train: str
    lora_rank: int
    lora_alpha: int
    first_layer: int
    learning_rate: float
    warmup_share: float
    final_rate_share: float
    clip_norm: float
    epochs: int
    batch_size: int
    seed: int
    checkpoint_steps: int
    max_tokens: int
    threads: int
    prompt_template: str = ""

    def adapter(self) -> Adapter:
        return Adapter(self.lora_rank, self.lora_alpha, self.first_layer, self.seed)

    def fingerprint(self) -> str:
        """Digest of what shapes the weights: the recipe, the rows and the base model."""
        shaping = {name: getattr(self, name) for name in self.__slots__}
        for place in ("base_model", "threads", "checkpoint_steps"):
            del shaping[place]
        shaping["train"] = sha256(Path(self.train))
        shaping["base"] = sha256(Path(self.base_model) / "model.safetensors")
        return hashlib.sha256(json.dumps(shaping, sort_keys=True).encode()).hexdigest()


def remaining(job: Job, pairs: Sequence[Pair], done: int) -> Iterator[list[Pair]]:
    """The batches after the first ``done``, in the order an unbroken run takes them."""
    lengths = [len(pair) for pair in pairs]
    step = 0
    for epoch in range(job.epochs):
        for rows in batches(lengths, job.batch_size, job.seed, epoch):
            if step >= done:
                yield [pairs[row] for row in rows]
            step += 1


def train(job: Job, work: Path, emit: Emit) -> tuple[PeftModel, checkpoint.Progress]:
    """Run or finish the run; every step and checkpoint is told to ``emit``."""
    rows = read_rows(Path(job.train))
    model, tokenizer = adapted(Path(job.base_model), job.adapter())
    pairs, skipped = tokenise(rows, ChatTokens(tokenizer, job.prompt_template), job.max_tokens)
    total = total_steps(len(pairs), job.batch_size, job.epochs)
    adapter = {name: value for name, value in model.named_parameters() if value.requires_grad}
    optimiser = torch.optim.AdamW(adapter.values(), lr=job.learning_rate, weight_decay=0.0)
    progress = checkpoint.Progress(job.fingerprint())
    found = checkpoint.latest(work / "checkpoints", progress.fingerprint)
    if found is not None:
        path, progress = found
        checkpoint.restore(path, progress.step, adapter, optimiser)
    emit("started", resumed_from_step=progress.step, total_steps=total, skipped_rows=skipped)
    model.train()
    for batch in remaining(job, pairs, progress.step):
        began = time.monotonic()
        share = rate_share(progress.step, total, job.warmup_share, job.final_rate_share)
        optimiser.param_groups[0]["lr"] = job.learning_rate * share
        loss = answer_loss(model, batch, int(tokenizer.pad_token_id))
        loss.backward()
        torch.nn.utils.clip_grad_norm_(adapter.values(), job.clip_norm)
        optimiser.step()
        optimiser.zero_grad()
        progress.took(loss.item(), time.monotonic() - began)
        speed = sum(map(len, batch)) / (time.monotonic() - began)
        emit(
            "progressed",
            step=progress.step,
            total_steps=total,
            loss=progress.losses[-1],
            tokens_per_s=speed,
        )
        if progress.step % job.checkpoint_steps == 0 or progress.step == total:
            saved = checkpoint.save(work / "checkpoints", progress, adapter, optimiser)
            emit("checkpointed", step=progress.step, path=str(saved))
    return model, progress


class Emit:
    """One JSON object a line, on the job's standard output."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __call__(self, event: str, **fields: Any) -> None:
        self._stream.write(json.dumps({"event": event, **fields}) + "\n")
        self._stream.flush()


def run(work: Path, emit: Emit) -> None:
    """Train, export, and write ``result.json`` last."""
    job = Job(**json.loads((work / "job.json").read_text()))
    torch.set_num_threads(job.threads)
    model, progress = train(job, work, emit)
    emit("exporting", step=progress.step)
    tail = progress.losses[-max(1, len(progress.losses) // 10) :]
    result = export.export(model, Path(job.base_model), work / "out")
    result |= {
        "steps": progress.step,
        "train_loss": sum(tail) / len(tail),
        "seconds": progress.seconds,
        "losses": progress.losses,
    }
    write_json(work / "result.json", result)


def main(arguments: Sequence[str]) -> int:
    """Exit status 0, or 1 with ``error.json`` written."""
    work = Path(arguments[0])
    emit, sys.stdout = Emit(sys.stdout), sys.stderr
    try:
        run(work, emit)
    except BadDataset as error:
        write_json(work / "error.json", {"code": "bad_dataset", "reason": str(error)})
        return 1
    except Exception as error:
        reason = f"{type(error).__name__}: {error}"
        write_json(work / "error.json", {"code": "crashed", "reason": reason})
        raise
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
