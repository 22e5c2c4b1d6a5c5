"""Merged Llama weights to a GGUF file that OpenVINO GenAI and llama.cpp read.

Runs in the model environment:
``python -m services.trainer.adapters.gguf MODEL_DIR WEIGHTS OUT [PRECISION]``.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from gguf import GGMLQuantizationType, GGUFWriter, LlamaFileType, TokenType, quants
from numpy.typing import NDArray
from safetensors import safe_open

from libs.artifacts.weights import check_safetensors
from services.trainer.adapters.layers import in_place, kept

_LAYER = {
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}
_TOP = {"model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output"}
_TYPES = {
    "q8_0": (GGMLQuantizationType.Q8_0, LlamaFileType.MOSTLY_Q8_0),
    "f16": (GGMLQuantizationType.F16, LlamaFileType.MOSTLY_F16),
    "q4_1": (GGMLQuantizationType.Q4_1, LlamaFileType.MOSTLY_Q4_1),
}
_VOCABULARY = ("model.embed_tokens.weight", "lm_head.weight")
_EMBEDDED = {GGMLQuantizationType.Q4_1: GGMLQuantizationType.Q8_0}
"""Four bits are too few for a vocabulary that is a fifth of a small model."""


def convert(
    model_dir: Path,
    weights: Path,
    out: Path,
    precision: str = "q8_0",
    told: Callable[[float], None] | None = None,
) -> None:
    """Write ``out``: two-dimensional tensors in ``precision``, norms in float32.

    Args:
        model_dir: the base model's ``config.json``, ``tokenizer.json``, ``chat_template.jinja``.
        weights: merged safetensors under the names of transformers' Llama.
        precision: ``q8_0``, ``f16``, or ``q4_1`` (embeddings stay in ``q8_0``); ``q8_0-drop2``
            leaves out the two decoder layers before the last one.
        told: the share that is done.
    Raises:
        ValueError: the architecture is not Llama, a tensor has no GGUF name, or it has no so
            many layers to leave out.
    """
    check_safetensors(weights)
    config = json.loads((model_dir / "config.json").read_text())
    if config["model_type"] != "llama":
        raise ValueError(f"no GGUF mapping for {config['model_type']} models")
    precision, _, dropped = precision.partition("-drop")
    kind, file_type = _TYPES[precision]
    layers = kept(config["num_hidden_layers"], int(dropped or 0))
    writer = GGUFWriter(str(out), "llama")
    writer.add_file_type(file_type)
    _add_hyperparameters(writer, config | {"num_hidden_layers": len(layers)})
    _add_tokenizer(writer, model_dir, config)
    with safe_open(str(weights), framework="pt") as file:
        names = sorted(file.keys())
        for number, name in enumerate(names):
            if told is not None:
                told(number / len(names))
            if name == "lm_head.weight" and config.get("tie_word_embeddings"):
                continue
            if (place := in_place(name, layers)) is None:
                continue
            tensor = file.get_tensor(name).float().numpy()
            wanted = _EMBEDDED.get(kind, kind) if name in _VOCABULARY else kind
            _add_tensor(writer, place, _rotary_order(name, tensor, config), wanted)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _add_hyperparameters(writer: GGUFWriter, config: dict[str, Any]) -> None:
    rope = config.get("rope_parameters") or {}
    writer.add_name("perennial")
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_head_count_kv(config["num_key_value_heads"])
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_rope_freq_base(rope.get("rope_theta") or config.get("rope_theta", 10_000.0))
    writer.add_rope_dimension_count(_head_dim(config))
    writer.add_vocab_size(config["vocab_size"])


def _add_tokenizer(writer: GGUFWriter, model_dir: Path, config: dict[str, Any]) -> None:
    """A byte-level BPE tokenizer, read from ``tokenizer.json``."""
    tokenizer = json.loads((model_dir / "tokenizer.json").read_text())
    special = {entry["id"] for entry in tokenizer["added_tokens"] if entry["special"]}
    names = {index: token for token, index in tokenizer["model"]["vocab"].items()}
    names |= {entry["id"]: entry["content"] for entry in tokenizer["added_tokens"]}
    size = config["vocab_size"]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")
    writer.add_token_list([names.get(index, f"[UNUSED{index}]") for index in range(size)])
    writer.add_token_types(
        [
            TokenType.CONTROL
            if index in special
            else TokenType.NORMAL
            if index in names
            else TokenType.UNUSED
            for index in range(size)
        ]
    )
    merges = tokenizer["model"]["merges"]
    writer.add_token_merges([m if isinstance(m, str) else " ".join(m) for m in merges])
    writer.add_bos_token_id(config["bos_token_id"])
    writer.add_eos_token_id(config["eos_token_id"])
    writer.add_pad_token_id(config["pad_token_id"])
    writer.add_add_bos_token(False)
    writer.add_add_space_prefix(False)
    template = model_dir / "chat_template.jinja"
    if template.exists():
        writer.add_chat_template(template.read_text())


def _add_tensor(
    writer: GGUFWriter, name: str, tensor: NDArray[np.float32], kind: GGMLQuantizationType
) -> None:
    if tensor.ndim == 1:
        writer.add_tensor(_gguf_name(name), tensor)
        return
    packed = quants.quantize(tensor, kind)
    writer.add_tensor(_gguf_name(name), packed, raw_dtype=kind)


def _gguf_name(name: str) -> str:
    stem = name.removesuffix(".weight")
    if stem in _TOP:
        return f"{_TOP[stem]}.weight"
    _, _, layer, part = stem.split(".", 3) if stem.startswith("model.layers.") else ("",) * 4
    if part not in _LAYER:
        raise ValueError(f"no GGUF name for the tensor {name}")
    return f"blk.{layer}.{_LAYER[part]}.weight"


def _rotary_order(
    name: str, tensor: NDArray[np.float32], config: dict[str, Any]
) -> NDArray[np.float32]:
    """Queries and keys: from transformers' halves to GGUF's interleaved rotary pairs."""
    if name.endswith("q_proj.weight"):
        heads = config["num_attention_heads"]
    elif name.endswith("k_proj.weight"):
        heads = config["num_key_value_heads"]
    else:
        return tensor
    halves = tensor.reshape(heads, 2, tensor.shape[0] // heads // 2, *tensor.shape[1:])
    return np.ascontiguousarray(halves.swapaxes(1, 2).reshape(tensor.shape))


def _head_dim(config: dict[str, Any]) -> int:
    return int(config.get("head_dim") or config["hidden_size"] // config["num_attention_heads"])


def main(arguments: Sequence[str]) -> int:
    """Exit status 0, or 1 with ``error.json`` beside the file that could not be made."""
    model_dir, weights, out = (Path(argument) for argument in arguments[:3])
    begun = -1

    def told(done: float) -> None:
        nonlocal begun
        if int(done * 20) > begun:
            begun = int(done * 20)
            print(json.dumps({"event": "converted", "done": done}), flush=True)

    try:
        convert(model_dir, weights, out, (*arguments, "q8_0")[3], told)
    except ValueError as error:  # another architecture, or a file that is refused
        problem = {"code": "no_builder", "reason": str(error)}
        (out.parent / "error.json").write_text(json.dumps(problem))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
