"""Every command is one that the pinned version of TensorRT-LLM knows."""

from pathlib import Path

import pytest

from services.trainer.adapters.tensorrt import commands
from services.trainer.adapters.tensorrt.commands import Command
from services.trainer.adapters.tensorrt.plan import PRECISIONS, Flow, Lora, Plan
from tests.unit.services.trainer.tensorrt.plans import NAMES, plan

HARDWARE = {"bf16": "sm_90", "fp8": "sm_90", "nvfp4": "sm_100", "int4_awq": "sm_90"}
HERE = Path("/w")


def unknown(command: Command) -> set[str]:
    """Flags that the program does not have."""
    program = next(word for word in command if Path(word).name in NAMES["flags"])
    flags = {word for word in command if word.startswith("--")}
    return flags - set(NAMES["flags"][Path(program).name])


def made(made_for: Plan) -> list[Command]:
    checkpoint = commands.checkpoint(made_for, HERE / "hf", HERE / "ckpt", "/data/rows")
    found = [] if checkpoint is None else [checkpoint]
    if made_for.flow is Flow.COMPILED:
        found.append(commands.compile_engine(made_for, HERE / "ckpt", HERE / "engine"))
        found.append(commands.serve(made_for, HERE, (8000, 8001, 8002)))
    return found


@pytest.mark.parametrize("flow", Flow)
@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("lora", [None, Lora()])
def test_every_flag_exists(flow: Flow, precision: str, lora: Lora | None) -> None:
    wanted = plan(precision, HARDWARE[precision], flow, tensor_parallel=2, lora=lora)

    assert [unknown(command) for command in made(wanted)] == [set()] * len(made(wanted))


@pytest.mark.parametrize("precision", ["fp8", "nvfp4", "int4_awq"])
def test_the_quantizer_and_its_cache_are_among_its_choices(precision: str) -> None:
    how = PRECISIONS[precision]

    assert how.quantizer in NAMES["choices"]["quantize.py --qformat"]
    assert how.cache in ["", *NAMES["choices"]["quantize.py --kv_cache_dtype"]]


def test_an_invented_flag_would_be_seen() -> None:
    assert unknown(("trtllm-build", "--use_inflight_batching", "--workers", "1")) == {
        "--use_inflight_batching"
    }


def test_llmapi_takes_bf16_as_it_is_and_quantizes_into_hugging_face_layout() -> None:
    assert made(plan("bf16")) == []
    (quantize,) = made(plan("fp8", tensor_parallel=4))
    assert quantize[quantize.index("--export_format") + 1] == "hf"
    assert "--tp_size" not in quantize  # ranks share one checkpoint


def test_a_compiled_engine_bakes_its_ranks_in() -> None:
    quantize, build, serve = made(plan("fp8", flow=Flow.COMPILED, tensor_parallel=2))

    assert quantize[quantize.index("--tp_size") + 1] == "2"
    assert "--export_format" not in quantize
    assert "--gemm_plugin" not in build  # TensorRT chooses fp8's multiplication by itself
    assert serve[serve.index("--world_size") + 1] == "2"


def test_adapters_are_quantity_and_modules_that_exist() -> None:
    _, build, _ = made(plan("bf16", flow=Flow.COMPILED, lora=Lora()))

    at = build.index("--lora_target_modules")
    assert set(build[at + 1 : at + 4]) <= set(NAMES["lora_modules"])


def test_a_container_has_no_network_and_is_named_by_its_digest() -> None:
    command = commands.in_image(
        plan().image.pinned("sha256:ab"), "n", HERE, ("true",), [Path("/rows")]
    )

    assert "nvcr.io/nvidia/tritonserver:26.07-trtllm-python-py3@sha256:ab" in command
    assert command[command.index("--network") + 1] == "none"
    assert "/rows:/rows:ro" in command
