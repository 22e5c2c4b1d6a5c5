"""``python -m tests.bench.drift.embed``: in the model environment, once.

MiniLM-L6-v2 on OpenVINO, as the stack serves it; 64 tokens of each text.
"""

import json
import sys
from pathlib import Path

import numpy as np
import openvino
from numpy.typing import NDArray
from tokenizers import Tokenizer

HOME = Path(".perennial/bench/drift")
MODEL = Path(".build/embedding")
BATCH = 32
TOKENS = 64


def embed(texts: list[str]) -> NDArray[np.float16]:
    """``(texts, 384)``, each of length 1."""
    tokenizer = Tokenizer.from_file(str(MODEL / "tokenizer.json"))
    tokenizer.enable_truncation(TOKENS)
    settings = {"INFERENCE_NUM_THREADS": 1, "INFERENCE_PRECISION_HINT": "f32"}
    model = openvino.Core().compile_model(str(MODEL / "model.xml"), "CPU", settings)
    order = sorted(range(len(texts)), key=lambda place: len(texts[place]))
    vectors = np.zeros((len(texts), 384), np.float16)
    for start in range(0, len(order), BATCH):
        places = order[start : start + BATCH]
        encoded = tokenizer.encode_batch([texts[place] for place in places])
        ids = np.array([one.ids for one in encoded], dtype=np.int64)
        mask = np.array([one.attention_mask for one in encoded], dtype=np.int64)
        vectors[places] = model([ids, mask])[0]
        print(f"\rembedding {start + len(places)}/{len(order)}", end="", file=sys.stderr)
    print(file=sys.stderr)
    return vectors


if __name__ == "__main__":
    pools: dict[str, list[str]] = json.loads((HOME / "texts.json").read_text())
    joined = embed([text for texts in pools.values() for text in texts])
    edges = np.cumsum([len(texts) for texts in pools.values()])[:-1]
    parts = dict(zip(pools, np.split(joined, edges), strict=True))
    np.savez(HOME / "embedded.npz", allow_pickle=False, **parts)
