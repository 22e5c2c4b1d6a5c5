"""Plans and models for these tests."""

import json
from pathlib import Path
from typing import Any

from services.trainer.adapters.tensorrt.images import IMAGES
from services.trainer.adapters.tensorrt.plan import Flow, Limits, Lora, Plan, Shape

REPO = Path(__file__).parents[5]
TEMPLATES = REPO / "infra" / "triton"
NAMES: dict[str, Any] = json.loads((TEMPLATES / "tensorrt_llm" / "names.json").read_text())
LLAMA_8B = Shape("LlamaForCausalLM", 32, 32, 8, (4096, 14336))
SMOLLM2_135M = Shape("LlamaForCausalLM", 30, 9, 3, (576, 1536))


def plan(
    precision: str = "fp8",
    hardware: str = "sm_90",
    flow: Flow = Flow.LLMAPI,
    tensor_parallel: int = 1,
    lora: Lora | None = None,
    limits: Limits | None = None,
) -> Plan:
    return Plan(
        image=IMAGES["26.07"],
        hardware=hardware,
        precision=precision,
        flow=flow,
        tensor_parallel=tensor_parallel,
        limits=limits or Limits(),
        lora=lora,
    )
