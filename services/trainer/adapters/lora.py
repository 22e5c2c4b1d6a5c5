"""The model while it trains: the base model with LoRA adapters, and the loss on answers.

Runs in the model environment.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedTokenizerBase

from libs.artifacts.weights import check_safetensors
from services.trainer.adapters.pairs import Pair

LINEAR_LAYERS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


@dataclass(frozen=True, slots=True)
class Adapter:
    """The shape of the adapters, and the seed of their first values."""

    rank: int
    alpha: int
    first_layer: int
    seed: int


def rate_share(step: int, total: int, warmup_share: float, final_share: float) -> float:
    """Share of the peak learning rate at ``step`` (from 0): linear warm-up, then cosine."""
    warmup = max(1, round(total * warmup_share))
    if step < warmup:
        return (step + 1) / warmup
    done = (step - warmup) / max(1, total - warmup)
    return final_share + (1 - final_share) * (1 + math.cos(math.pi * done)) / 2


def answer_loss(model: PeftModel, pairs: Sequence[Pair], pad: int) -> torch.Tensor:
    """Mean loss over the answers' tokens, nats; the vocabulary is projected only there."""
    width = max(len(pair) for pair in pairs)
    ids = torch.full((len(pairs), width), pad)
    seen = torch.zeros_like(ids)
    counts = torch.zeros_like(ids, dtype=torch.bool)
    for row, pair in enumerate(pairs):
        ids[row, : len(pair)] = torch.tensor(pair.ids)
        seen[row, : len(pair)] = 1
        counts[row, pair.answer_from : len(pair)] = True
    causal = model.get_base_model()
    hidden = causal.model(input_ids=ids, attention_mask=seen).last_hidden_state
    logits = causal.lm_head(hidden[:, :-1][counts[:, 1:]]).float()
    return torch.nn.functional.cross_entropy(logits, ids[:, 1:][counts[:, 1:]])


def adapted(base_model: Path, adapter: Adapter) -> tuple[PeftModel, PreTrainedTokenizerBase]:
    """The base model in bfloat16 with fresh adapters, initialised by the seed.

    Raises:
        RefusedFile: the base weights are not safetensors.
    """
    check_safetensors(base_model / "model.safetensors")
    tokenizer = AutoTokenizer.from_pretrained(base_model, local_files_only=True)
    base = AutoModelForCausalLM.from_pretrained(
        base_model, dtype=torch.bfloat16, use_safetensors=True, local_files_only=True
    )
    torch.manual_seed(adapter.seed)
    config = LoraConfig(
        r=adapter.rank,
        lora_alpha=adapter.alpha,
        target_modules=list(LINEAR_LAYERS),
        layers_to_transform=list(range(adapter.first_layer, base.config.num_hidden_layers)),
        lora_dropout=0.0,
        task_type="CAUSAL_LM",
    )
    return get_peft_model(base, config, autocast_adapter_dtype=False), tokenizer
