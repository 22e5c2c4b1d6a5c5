import json
import pickle
from pathlib import Path

import pytest

from libs.artifacts.memory import MemoryStore
from libs.faults import Poison
from services.evaluation import wire
from services.evaluation.adapters.files import fetch_gguf, fetch_weights
from services.evaluation.domain.task import File

HEADER = json.dumps({"w": {"dtype": "BF16", "shape": [1], "data_offsets": [0, 2]}}).encode()
SAFETENSORS = len(HEADER).to_bytes(8, "little") + HEADER + b"\0\0"


def stored(store: MemoryStore, content: bytes) -> File:
    return wire.file(store.put(content, "application/octet-stream"))


def test_safetensors_are_taken(tmp_path: Path) -> None:
    store = MemoryStore()

    fetch_weights(store, stored(store, SAFETENSORS), tmp_path / "w")

    assert (tmp_path / "w").read_bytes() == SAFETENSORS


@pytest.mark.parametrize(
    "content",
    [
        pickle.dumps({"w": [1.0] * 100}),
        pickle.dumps({"w": [1.0] * 100}, protocol=0),
        b"PK\x03\x04" + b"\0" * 100,
        SAFETENSORS[:20],
        b"",
        (2**40).to_bytes(8, "little") + b"{",
        SAFETENSORS[:-1],
    ],
)
def test_everything_else_is_refused(content: bytes, tmp_path: Path) -> None:
    store = MemoryStore()

    with pytest.raises(Poison) as caught:
        fetch_weights(store, stored(store, content), tmp_path / "w")

    assert caught.value.code == "not_safetensors"


def test_an_engine_that_is_no_gguf_is_refused(tmp_path: Path) -> None:
    store = MemoryStore()

    with pytest.raises(Poison) as caught:
        fetch_gguf(store, stored(store, SAFETENSORS), tmp_path / "g")

    assert caught.value.code == "not_gguf"
