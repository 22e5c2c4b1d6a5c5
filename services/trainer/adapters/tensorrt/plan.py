"""What is to be built for which GPUs, and why it cannot be."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

from services.trainer.adapters.tensorrt.images import Image

AMPERE: Final = frozenset({"sm_80", "sm_86"})
ADA: Final = frozenset({"sm_89"})
HOPPER: Final = frozenset({"sm_90"})
BLACKWELL: Final = frozenset({"sm_100", "sm_103", "sm_120"})
AWQ_BLOCK: Final = 128


@dataclass(frozen=True, slots=True)
class Precision:
    """How weights are held.

    Args:
        quantizer: ``--qformat`` of quantize.py; "" = the weights as they are.
        cache: of keys and values, "" = as the model computes.
        dtype: that the quantizer calibrates in.
        hardware: GPUs with kernels for it.
    """

    quantizer: str
    cache: str
    dtype: str
    hardware: frozenset[str]


PRECISIONS: Final = {
    "bf16": Precision("", "", "bfloat16", AMPERE | ADA | HOPPER | BLACKWELL),
    "fp8": Precision("fp8", "fp8", "bfloat16", ADA | HOPPER | BLACKWELL),
    "nvfp4": Precision("nvfp4", "fp8", "bfloat16", BLACKWELL),
    "int4_awq": Precision("int4_awq", "", "float16", AMPERE | ADA | HOPPER),
}


class Flow(Enum):
    LLMAPI = "llmapi"
    """The PyTorch backend loads a checkpoint; nothing is compiled ahead."""
    COMPILED = "engine"
    """``trtllm-build`` and the C++ backend; for images that still have them."""


@dataclass(frozen=True, slots=True)
class Limits:
    """``cache_fraction`` is of the memory that weights and activations leave, not of the card."""

    max_batch_size: int = 64
    max_num_tokens: int = 8192
    max_seq_len: int = 8192
    cache_fraction: float = 0.85


@dataclass(frozen=True, slots=True)
class Lora:
    """Adapters that requests may name. Query, key and value go together."""

    modules: tuple[str, ...] = ("attn_q", "attn_k", "attn_v")
    max_rank: int = 16
    on_gpu: int = 4
    on_host: int = 16


@dataclass(frozen=True, slots=True)
class Shape:
    """Of the model. ``widths`` are the input widths of its matrices."""

    architecture: str
    layers: int
    heads: int
    key_value_heads: int
    widths: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Plan:
    image: Image
    hardware: str
    precision: str
    flow: Flow = Flow.LLMAPI
    tensor_parallel: int = 1
    pipeline_parallel: int = 1
    limits: Limits = field(default_factory=Limits)
    lora: Lora | None = None

    @property
    def ranks(self) -> int:
        return self.tensor_parallel * self.pipeline_parallel

    @property
    def how(self) -> Precision:
        return PRECISIONS[self.precision]


def objections(plan: Plan) -> list[str]:
    """What is wrong with a plan whatever the model; nothing when it can be tried."""
    return list(_of_plan(plan))


def misfits(plan: Plan, shape: Shape) -> list[str]:
    """What keeps this model from this plan."""
    return list(_of_shape(plan, shape))


def _of_plan(plan: Plan) -> Iterator[str]:
    if plan.precision not in PRECISIONS:
        yield f"precision {plan.precision} is not one of {', '.join(PRECISIONS)}"
    elif plan.hardware not in plan.how.hardware:
        fits = ", ".join(sorted(plan.how.hardware))
        yield f"{plan.precision} has no kernels on {plan.hardware}; it has on {fits}"
    if plan.flow is Flow.COMPILED and not plan.image.compiles:
        yield f"Triton {plan.image.release} has no trtllm-build"
    if plan.limits.max_batch_size > plan.limits.max_num_tokens:
        yield "max_batch_size is above max_num_tokens: a step could not hold a token of each"
    if not 0 < plan.limits.cache_fraction < 1:
        yield f"cache_fraction {plan.limits.cache_fraction} does not lie between 0 and 1"
    if plan.lora is not None and {"attn_q", "attn_k", "attn_v"} - set(plan.lora.modules):
        yield "adapters need attn_q, attn_k and attn_v together"


def _of_shape(plan: Plan, shape: Shape) -> Iterator[str]:
    if shape.heads % plan.tensor_parallel or shape.key_value_heads % plan.tensor_parallel:
        yield (
            f"{shape.heads} heads and {shape.key_value_heads} key/value heads "
            f"cannot be dealt to {plan.tensor_parallel} GPUs"
        )
    if plan.pipeline_parallel > shape.layers:
        yield f"{shape.layers} layers cannot be dealt to {plan.pipeline_parallel} stages"
    if plan.precision == "int4_awq":
        odd = [w for w in shape.widths if w % (AWQ_BLOCK * plan.tensor_parallel)]
        if odd:
            yield f"int4_awq's blocks of {AWQ_BLOCK} do not divide the width {odd[0]}"
    if plan.flow is Flow.COMPILED and shape.architecture != "LlamaForCausalLM":
        yield f"no convert_checkpoint.py is known here for {shape.architecture}"
