"""The repositories that are written: Triton can read them, LLM() knows every key."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from google.protobuf import text_format
from tritonclient.grpc.model_config_pb2 import ModelConfig

from services.trainer.adapters.tensorrt.plan import PRECISIONS, Flow, Lora
from services.trainer.adapters.tensorrt.repository import (
    complete,
    engine_key,
    write_compiled,
    write_llmapi,
)
from tests.unit.services.trainer.tensorrt.plans import NAMES, TEMPLATES, plan

KEYS = NAMES["model_yaml"]


def config(model: Path) -> ModelConfig:
    return text_format.Parse((model / "config.pbtxt").read_text(), ModelConfig())


def unknown(settings: dict[str, Any]) -> set[str]:
    found = set(settings) - set(KEYS["TorchLlmArgs"]) - {"triton_config"}
    for name in ("kv_cache_config", "lora_config", "triton_config"):
        found |= {f"{name}.{key}" for key in set(settings.get(name, {})) - set(KEYS[name])}
    return found


@pytest.fixture
def model(tmp_path: Path) -> Path:
    out = tmp_path / "llm-0123"
    wanted = plan("fp8", tensor_parallel=2, lora=Lora())
    write_llmapi(wanted, TEMPLATES, "checkpoint", engine_key(wanted, "sha256:ab", {}), out)
    complete(out, "llm-0123", Path("/t/tokenizer.json"), Path("/adapters"))
    return out


def test_a_gpu_engine_has_every_tensor_of_the_contract(model: Path) -> None:
    cpu, gpu = config(TEMPLATES / "llm"), config(model)

    assert list(gpu.input)[: len(cpu.input)] == list(cpu.input)
    assert list(gpu.output) == list(cpu.output)
    assert [each.name for each in gpu.input][-3:] == ["lora_id", "lora_name", "lora_path"]


def test_nothing_is_left_to_fill_in(model: Path) -> None:
    assert "${" not in (model / "config.pbtxt").read_text()
    assert config(model).parameters["adapters"].string_value == "/adapters"


def test_triton_is_told_the_same_twice(model: Path) -> None:
    """The launcher switches auto-completion off, so model.yaml alone would not be heard."""
    told = yaml.safe_load((model / "1" / "model.yaml").read_text())["triton_config"]

    assert config(model).model_transaction_policy.decoupled == told["decoupled"] is True
    assert config(model).max_batch_size == told["max_batch_size"] == 0


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("lora", [None, Lora()])
def test_every_key_of_model_yaml_is_one_of_llms(
    precision: str, lora: Lora | None, tmp_path: Path
) -> None:
    write_llmapi(plan(precision, lora=lora), TEMPLATES, "checkpoint", {}, tmp_path / "m")
    told = yaml.safe_load((tmp_path / "m" / "1" / "model.yaml").read_text())

    assert unknown(told) == set()
    assert not set(told) & set(KEYS["not_in_TorchLlmArgs"])


def test_a_key_that_ended_would_be_seen() -> None:
    assert unknown({"kv_cache_dtype": "fp8", "kv_cache_config": {"free_gpu_mem_fraction": 1}}) == {
        "kv_cache_dtype",
        "kv_cache_config.free_gpu_mem_fraction",
    }


def test_the_compiled_engine_is_one_that_triton_can_read(tmp_path: Path) -> None:
    write_compiled(plan(flow=Flow.COMPILED), TEMPLATES, "/engines/k", tmp_path / "tensorrt_llm")

    found = config(tmp_path / "tensorrt_llm")
    assert found.backend == "tensorrtllm"
    assert found.parameters["gpt_model_path"].string_value == "/engines/k"
    assert (tmp_path / "tensorrt_llm" / "1").is_dir()


def test_a_compiled_engines_key_names_tensorrt_too() -> None:
    assert engine_key(plan(flow=Flow.COMPILED), "", {})["tensorrt"] == "10.14.1.48"
    assert "tensorrt" not in engine_key(plan(), "", {})
