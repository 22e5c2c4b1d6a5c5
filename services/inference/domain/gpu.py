"""What a Triton with TensorRT-LLM is, and whether an engine was built for it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

COMPARED: Final = ("image", "tensorrt_llm", "hardware")


@dataclass(frozen=True, slots=True)
class Gpus:
    """``image``: release of Triton's image, "26.07"; ``hardware``: of all its GPUs, "sm_90"."""

    image: str
    tensorrt_llm: str
    hardware: str
    gpus: int


def mismatches(key: Mapping[str, Any], here: Gpus) -> list[str]:
    """What keeps ``here`` from loading the engine with this ``engine_key.json``; nothing when it
    may. As ``infra/triton/tensorrt_llm/1/engine_key.py``, which the engine asks itself."""
    found = [
        f"{name} {key.get(name) or 'none'} was built for, {getattr(here, name)} is here"
        for name in COMPARED
        if key.get(name) != getattr(here, name)
    ]
    ranks = key.get("ranks")
    if not isinstance(ranks, int) or ranks > here.gpus:
        found.append(f"{ranks} ranks need as many GPUs, {here.gpus} are here")
    if key.get("flow") != "llmapi":
        found.append(f"flow {key.get('flow')} speaks another contract, only llmapi is served")
    return found
