"""What fits which GPU."""

from dataclasses import replace

import pytest

from libs.faults import Poison
from services.trainer.adapters.tensorrt.images import image
from services.trainer.adapters.tensorrt.plan import Flow, Limits, Lora, misfits, objections
from tests.unit.services.trainer.tensorrt.plans import LLAMA_8B, SMOLLM2_135M, plan


@pytest.mark.parametrize(
    ("precision", "hardware", "fits"),
    [
        ("bf16", "sm_80", True),
        ("fp8", "sm_89", True),
        ("fp8", "sm_80", False),
        ("nvfp4", "sm_100", True),
        ("nvfp4", "sm_90", False),
        ("int4_awq", "sm_86", True),
        ("int4_awq", "sm_100", False),
        ("int8_sq", "sm_90", False),
    ],
)
def test_a_precision_needs_hardware_with_its_kernels(
    precision: str, hardware: str, fits: bool
) -> None:
    assert (objections(plan(precision, hardware)) == []) == fits


def test_heads_that_cannot_be_dealt_out_are_refused() -> None:
    assert misfits(plan(tensor_parallel=8), LLAMA_8B) == []
    assert "9 heads" in misfits(plan(tensor_parallel=2), SMOLLM2_135M)[0]


def test_widths_that_blocks_do_not_divide_are_refused_in_int4_awq_alone() -> None:
    assert "576" in misfits(plan("int4_awq"), SMOLLM2_135M)[0]
    assert misfits(plan("fp8"), SMOLLM2_135M) == []


def test_a_batch_larger_than_a_step_is_refused() -> None:
    limits = Limits(max_batch_size=64, max_num_tokens=32)

    assert "max_num_tokens" in objections(plan(limits=limits))[0]


def test_query_key_and_value_adapters_go_together() -> None:
    assert "together" in objections(plan(lora=Lora(modules=("attn_q", "attn_v"))))[0]


def test_an_image_without_the_compiler_cannot_compile() -> None:
    later = replace(image("26.07"), tensorrt_llm="1.4.0", compiles=False)

    assert objections(replace(plan(flow=Flow.COMPILED), image=later)) == [
        "Triton 26.07 has no trtllm-build"
    ]
    assert objections(replace(plan(), image=later)) == []


def test_only_llama_can_be_converted() -> None:
    qwen = replace(LLAMA_8B, architecture="Qwen3ForCausalLM")

    assert "Qwen3" in misfits(plan("bf16", flow=Flow.COMPILED), qwen)[0]
    assert misfits(plan("bf16"), qwen) == []


def test_an_unknown_image_is_refused_and_the_known_ones_named() -> None:
    with pytest.raises(Poison, match=r"26\.07"):
        image("26.11")
