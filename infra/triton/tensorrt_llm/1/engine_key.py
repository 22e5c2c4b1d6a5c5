"""The key an engine was built under, and whether this host may load it.

Only the standard library, and no CUDA: MPI's workers would inherit its file descriptors.
``python3 engine_key.py engine_key.json [ENGINE_DIR]`` says what differs and exits with 1.
"""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

COMPARED = ("image", "tensorrt_llm", "tensorrt", "hardware")
"""Must be equal. ``tensorrt`` matters to compiled engines alone, and is absent from other keys."""
NVIDIA_SMI = ("nvidia-smi", "--query-gpu=compute_cap", "--format=csv,noheader")
NVIDIA_SMI_S = 30.0


def mismatches(built: Mapping[str, Any], here: Mapping[str, Any]) -> list[str]:
    """What keeps ``here`` from loading an engine; nothing when it may.

    Args:
        built: ``image``, ``tensorrt_llm``, ``hardware`` ("sm_90"), ``ranks``; of a compiled
            engine also ``tensorrt``.
        here: the same of this host, with ``gpus`` in the place of ``ranks``.
    """
    found = [
        f"{name} {built[name]} was built for, {here.get(name) or 'none'} is here"
        for name in COMPARED
        if name in built and built[name] != here.get(name)
    ]
    if built["ranks"] > here["gpus"]:
        found.append(f"{built['ranks']} ranks need as many GPUs, {here['gpus']} are here")
    return found


def faults(built: Mapping[str, Any], engine_dir: Path) -> list[str]:
    """What is wrong with the files of a compiled engine.

    TensorRT-LLM only logs the version it finds in ``config.json``; it does not refuse it.
    """
    try:
        written = json.loads((engine_dir / "config.json").read_text()).get("version")
    except (OSError, ValueError) as error:
        return [f"config.json cannot be read: {error}"]
    found = []
    if written != built["tensorrt_llm"]:
        found.append(f"config.json says version {written}, the key {built['tensorrt_llm']}")
    ranks = len(list(engine_dir.glob("rank*.engine")))
    if ranks != built["ranks"]:
        found.append(f"{ranks} files rank*.engine for {built['ranks']} ranks")
    return found


def this_host() -> dict[str, Any]:
    """What this container and its GPUs are; of unlike GPUs, no hardware is named."""
    try:
        installed = version("tensorrt_llm")
    except PackageNotFoundError:
        installed = ""
    try:
        told = subprocess.run(  # noqa: S603  # a constant command
            NVIDIA_SMI, capture_output=True, text=True, timeout=NVIDIA_SMI_S, check=True
        ).stdout.split()
    except (OSError, subprocess.SubprocessError):
        told = []
    kinds = {f"sm_{capability.replace('.', '')}" for capability in told}
    return {
        "image": os.environ.get("NVIDIA_TRITON_SERVER_VERSION", ""),
        "tensorrt_llm": installed,
        "tensorrt": os.environ.get("TRT_VERSION", ""),
        "hardware": kinds.pop() if len(kinds) == 1 else "",
        "gpus": len(told),
    }


def main(arguments: list[str]) -> int:
    built = json.loads(Path(arguments[0]).read_text())
    found = mismatches(built, this_host())
    if len(arguments) > 1:
        found += faults(built, Path(arguments[1]))
    for line in found:
        print(line, file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
