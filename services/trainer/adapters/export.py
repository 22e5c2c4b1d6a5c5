"""What a finished run leaves: adapter and merged weights.

Runs in the model environment.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from peft import PeftModel, get_peft_model_state_dict
from safetensors.torch import save_file

from services.trainer.adapters.files import sha256

_CONFIG_KEYS = ("r", "lora_alpha", "target_modules", "layers_to_transform", "task_type")


def export(model: PeftModel, base_model: Path, out: Path) -> dict[str, Any]:
    """Write ``adapter.safetensors`` and ``merged.safetensors`` under ``out``.

    The merge changes ``model`` in place. Returns paths and the base's digest for ``result.json``.
    """
    out.mkdir(parents=True, exist_ok=True)
    adapter, merged = out / "adapter.safetensors", out / "merged.safetensors"
    config = model.peft_config["default"].to_dict()
    kept = {key: config[key] for key in _CONFIG_KEYS}
    kept = {key: sorted(v) if isinstance(v, set) else v for key, v in kept.items()}
    save_file(
        get_peft_model_state_dict(model),
        adapter,
        metadata={"format": "pt", "adapter_config": json.dumps(kept, sort_keys=True)},
    )
    whole = model.merge_and_unload()
    state = whole.state_dict()
    if whole.config.tie_word_embeddings:
        state.pop("lm_head.weight", None)
    save_file(
        {name: t.contiguous() for name, t in state.items()}, merged, metadata={"format": "pt"}
    )
    return {
        "adapter": str(adapter),
        "merged": str(merged),
        "base_sha256": sha256(base_model / "model.safetensors"),
    }
