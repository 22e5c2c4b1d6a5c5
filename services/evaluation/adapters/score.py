"""The scoring job: one model's figures on every held-out row.

Runs in the model environment: ``python -m services.evaluation.adapters.score WORKDIR``.
Reads ``job.json`` and ``rows.json``; prints ``{"step", "total"}`` lines; writes
``result.json``, or ``error.json`` where no attempt can succeed. Imports nothing of the platform.
"""

from __future__ import annotations

import gc
import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from services.evaluation.adapters import engines, text

LONGEST_ROW = 2048
"""Tokens; a longer row is left out, for both models alike."""
BATCH_TOKENS = 1536
"""Padded tokens that one batch holds."""
LOGIT_ROWS = 512
"""Answer positions whose logits are held at once: 512 x 49,152 x 4 bytes = 100 MB."""
NICENESS = 5
"""Serving goes first where they share cores."""

Row = dict[str, Any]
Tell = Callable[[int, int], None]


class Refused(ValueError):
    """No attempt can succeed."""

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(reason)
        self.code = code


@dataclass(frozen=True, slots=True)
class Pair:
    """One tokenised row; the loss counts from ``answer_from`` on."""

    row: Row
    prompt: list[int]
    answer: list[int]

    def __len__(self) -> int:
        return len(self.prompt) + len(self.answer)


def tokenise(rows: Sequence[Row], tokenizer: PreTrainedTokenizerBase) -> list[Pair]:
    """One user message in the model's own chat template; the answer with the token that ends it."""

    def ids(words: str) -> list[int]:
        return list(tokenizer(words, add_special_tokens=False)["input_ids"])

    pairs = []
    for row in rows:
        chat = [{"role": "user", "content": row["message"]}]
        prompt = tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=True)
        answer = [*ids(row["answer"]), int(tokenizer.eos_token_id)]
        pairs.append(Pair(row, ids(str(prompt)), answer))
    fitting = [pair for pair in pairs if len(pair) <= LONGEST_ROW]
    if not fitting:
        raise Refused("bad_dataset", f"all {len(rows)} rows are longer than {LONGEST_ROW} tokens")
    return fitting


def batches(pairs: Sequence[Pair]) -> list[list[Pair]]:
    """Rows of like length together, so that little is padded."""
    found: list[list[Pair]] = []
    for pair in sorted(pairs, key=len, reverse=True):
        if found and (len(found[-1]) + 1) * len(found[-1][0]) <= BATCH_TOKENS:
            found[-1].append(pair)
        else:
            found.append([pair])
    return found


def load(model_dir: Path, weights: Path) -> PreTrainedModel:
    """The base model's architecture with these weights, bfloat16.

    Raises:
        Refused: ``bad_weights`` when names or shapes are another architecture's.
    """
    config = AutoConfig.from_pretrained(model_dir, local_files_only=True)
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16)
    state = {name: tensor.to(torch.bfloat16) for name, tensor in load_file(weights).items()}
    if config.tie_word_embeddings:
        state.setdefault("lm_head.weight", state.get("model.embed_tokens.weight"))
    try:
        model.load_state_dict(state, strict=True, assign=True)
    except (RuntimeError, AttributeError) as error:
        raise Refused(
            "bad_weights", f"not weights of {config.model_type}: {error}"[:500]
        ) from error
    model.tie_weights()
    # Rotary frequencies are not weights: made anew on the real device.
    model.model.rotary_emb = type(model.model.rotary_emb)(config=config)
    return model.eval()


def answer_losses(model: PreTrainedModel, batch: Sequence[Pair], pad: int) -> list[float]:
    """Mean loss over each row's answer tokens, nats; the vocabulary is projected only there."""
    width = max(len(pair) for pair in batch)
    ids = torch.full((len(batch), width), pad)
    seen = torch.zeros_like(ids)
    counts = torch.zeros_like(ids, dtype=torch.bool)
    for place, pair in enumerate(batch):
        ids[place, : len(pair)] = torch.tensor(pair.prompt + pair.answer)
        seen[place, : len(pair)] = 1
        counts[place, len(pair.prompt) : len(pair)] = True
    hidden = model.model(input_ids=ids, attention_mask=seen, use_cache=False).last_hidden_state
    asked, wanted = hidden[:, :-1][counts[:, 1:]], ids[:, 1:][counts[:, 1:]]
    losses = torch.cat(
        [
            torch.nn.functional.cross_entropy(
                model.lm_head(asked[at : at + LOGIT_ROWS]).float(),
                wanted[at : at + LOGIT_ROWS],
                reduction="none",
            )
            for at in range(0, len(wanted), LOGIT_ROWS)
        ]
    )
    return [part.mean().item() for part in losses.split([len(pair.answer) for pair in batch])]


def score(job: dict[str, Any], rows: list[Row], tell: Tell) -> dict[str, Any]:
    """Losses of all rows, then answers and text metrics of those that ask for them."""
    tokenizer = AutoTokenizer.from_pretrained(job["model_dir"], local_files_only=True)
    pairs = tokenise(rows, tokenizer)
    asked = [pair for pair in pairs if pair.row["generated"]]
    total = len(pairs) + len(asked)
    began = time.monotonic()
    model = load(Path(job["model_dir"]), Path(job["weights"]))
    losses: dict[str, float] = {}
    for batch in batches(pairs):
        with torch.inference_mode():
            found = answer_losses(model, batch, int(tokenizer.pad_token_id))
        losses |= {pair.row["record_id"]: loss for pair, loss in zip(batch, found, strict=True)}
        tell(len(losses), total)
    measured = time.monotonic()
    prompts = [pair.prompt for pair in asked]
    if job["gguf"]:
        del model
        gc.collect()
        spoken = engines.openvino(job["gguf"], prompts, job["max_new_tokens"])
    else:
        spoken = engines.transformers(model, prompts, job["max_new_tokens"], tokenizer)
    answers = {
        pair.row["record_id"]: str(tokenizer.decode(ids, skip_special_tokens=True)).strip()
        for pair, ids in zip(asked, spoken, strict=True)
    }
    tell(total, total)
    return {
        "rows": [_figures(pair.row, losses, answers) for pair in pairs],
        "left_out": len(rows) - len(pairs),
        "engine": "openvino-genai" if job["gguf"] else "transformers",
        "loss_seconds": measured - began,
        "answer_seconds": time.monotonic() - measured,
    }


def _figures(row: Row, losses: dict[str, float], answers: dict[str, str]) -> Row:
    record_id = row["record_id"]
    answer = answers.get(record_id)
    metrics = {"answer_loss": losses[record_id]}
    if answer is not None:
        metrics |= text.metrics(answer, row["answer"])
    return {
        "record_id": record_id,
        "segment": row["segment"],
        "metrics": metrics,
        "answer": answer,
    }


def main(work: Path) -> int:
    """Exit status 0 with ``result.json``, or 1 (with ``error.json`` where all is in vain)."""
    out, sys.stdout = sys.stdout, sys.stderr
    os.nice(NICENESS)
    job = json.loads((work / "job.json").read_text())
    rows = json.loads((work / "rows.json").read_text())
    torch.set_num_threads(job["threads"])

    def tell(step: int, total: int) -> None:
        print(json.dumps({"step": step, "total": total}), file=out, flush=True)

    try:
        result = score(job, rows, tell)
    except Refused as refused:
        told = {"code": refused.code, "reason": str(refused)}
        (work / "error.json").write_text(json.dumps(told))
        return 1
    (work / "result.json").write_text(json.dumps(result))
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
