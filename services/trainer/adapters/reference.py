"""The weights that an engine was made of, in float32 by transformers: what it should have said.

Runs in the model environment.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, PreTrainedModel

from libs.artifacts.weights import check_safetensors

BATCH_TOKENS = 2048
"""Padded tokens that one batch holds."""
LOGIT_ROWS = 512
"""Answer positions whose logits are held at once: 512 x 49,152 x 4 bytes = 100 MB."""


@dataclass(frozen=True, slots=True)
class Pair:
    record_id: str
    prompt: list[int]
    answer: list[int]

    @property
    def ids(self) -> list[int]:
        return self.prompt + self.answer


def scored(
    model: PreTrainedModel, pairs: Sequence[Pair], pad: int
) -> list[tuple[list[float], int]]:
    """Log-probabilities of each answer's tokens, and how many of them are the likeliest."""
    found: list[tuple[list[float], int]] = [([], 0)] * len(pairs)
    order = sorted(range(len(pairs)), key=lambda place: len(pairs[place].ids), reverse=True)
    while order:
        width = len(pairs[order[0]].ids)
        batch, order = (
            order[: max(1, BATCH_TOKENS // width)],
            order[max(1, BATCH_TOKENS // width) :],
        )
        with torch.inference_mode():
            scores = _batch(model, [pairs[place] for place in batch], pad)
        for place, each in zip(batch, scores, strict=True):
            found[place] = each
    return found


def _batch(
    model: PreTrainedModel, pairs: Sequence[Pair], pad: int
) -> list[tuple[list[float], int]]:
    width = max(len(pair.ids) for pair in pairs)
    ids = torch.full((len(pairs), width), pad)
    seen = torch.zeros_like(ids)
    counts = torch.zeros_like(ids, dtype=torch.bool)
    for place, pair in enumerate(pairs):
        ids[place, : len(pair.ids)] = torch.tensor(pair.ids)
        seen[place, : len(pair.ids)] = 1
        counts[place, len(pair.prompt) : len(pair.ids)] = True
    hidden = model.model(input_ids=ids, attention_mask=seen, use_cache=False).last_hidden_state
    asked, wanted = hidden[:, :-1][counts[:, 1:]], ids[:, 1:][counts[:, 1:]]
    chosen, likeliest = [], []
    for at in range(0, len(wanted), LOGIT_ROWS):
        logits = torch.log_softmax(model.lm_head(asked[at : at + LOGIT_ROWS]).float(), dim=-1)
        part = wanted[at : at + LOGIT_ROWS]
        chosen.append(logits.gather(1, part[:, None])[:, 0])
        likeliest.append(logits.argmax(dim=-1) == part)
    lengths = [len(pair.answer) for pair in pairs]
    return [
        (values.tolist(), int(hits.sum()))
        for values, hits in zip(
            torch.cat(chosen).split(lengths), torch.cat(likeliest).split(lengths), strict=True
        )
    ]


def load(base_model: Path, weights: Path) -> PreTrainedModel:
    """The base model's architecture with these weights, float32."""
    check_safetensors(weights)
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "config.json").symlink_to(base_model / "config.json")
        (Path(folder) / "model.safetensors").symlink_to(weights)
        model = AutoModelForCausalLM.from_pretrained(
            folder, dtype=torch.float32, use_safetensors=True, local_files_only=True
        )
    return model.eval()
