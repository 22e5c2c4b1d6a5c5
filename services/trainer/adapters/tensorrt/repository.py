"""Triton model repositories of TensorRT-LLM engines, from the templates of ``infra/triton``."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from string import Template
from typing import Any, Final

import yaml
from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2

from services.trainer.adapters.tensorrt.plan import Flow, Plan

KEY_FILE: Final = "engine_key.json"
_SHARED: Final = ("model.py", "request.py", "response.py", "text.py")
"""Of the CPU engine: one contract, one reading of requests, one writing of text."""
_OWN: Final = ("engine.py", "engine_key.py")


def engine_key(plan: Plan, image_digest: str, more: Mapping[str, Any]) -> dict[str, Any]:
    """What the engine was built for, compared by ``engine_key.py`` before every load.

    Args:
        more: recorded, not compared: weights, commands.
    """
    key: dict[str, Any] = {
        "image": plan.image.release,
        "image_digest": image_digest,
        "tensorrt_llm": plan.image.tensorrt_llm,
        "hardware": plan.hardware,
        "ranks": plan.ranks,
        "tensor_parallel": plan.tensor_parallel,
        "pipeline_parallel": plan.pipeline_parallel,
        "precision": plan.precision,
        "flow": plan.flow.value,
    }
    if plan.flow is Flow.COMPILED:
        key["tensorrt"] = plan.image.tensorrt
    return {**more, **key}


def write_llmapi(
    plan: Plan, templates: Path, model: str, key: Mapping[str, Any], out: Path
) -> None:
    """One model directory.

    ``config.pbtxt`` keeps ``${name}``, ``${tokenizer}``, ``${adapters}`` and ``${prefix_reuse}``
    for the host that will serve it: see ``complete``.

    Args:
        templates: ``infra/triton``.
        model: the checkpoint, absolute or relative to ``out``.
    """
    version = out / "1"
    version.mkdir(parents=True)
    for name in _SHARED:
        shutil.copy(templates / "llm" / "1" / name, version)
    own = templates / "tensorrt_llm"
    for name in _OWN:
        shutil.copy(own / "1" / name, version)
    defaults = yaml.safe_load((own / "1" / "model.yaml").read_text())
    (version / "model.yaml").write_text(yaml.safe_dump(arguments(plan, defaults, model)))
    (version / KEY_FILE).write_text(json.dumps(dict(key), indent=1, sort_keys=True))
    filled = Template((own / "config.pbtxt").read_text()).safe_substitute(
        contract=_tensors(templates / "llm" / "config.pbtxt"),
        max_requests=4 * plan.limits.max_batch_size,
    )
    (out / "config.pbtxt").write_text(filled)


def complete(model: Path, name: str, tokenizer: Path, adapters: Path | None) -> None:
    """Put a host's own values into a model directory's ``config.pbtxt``."""
    config = model / "config.pbtxt"
    values = {"name": name, "tokenizer": str(tokenizer), "adapters": str(adapters or "")}
    values["prefix_reuse"] = "false"
    config.write_text(Template(config.read_text()).safe_substitute(values))


def write_compiled(plan: Plan, templates: Path, engine_dir: str, out: Path) -> None:
    """The directory ``tensorrt_llm`` of a repository; the image's own models go around it."""
    (out / "1").mkdir(parents=True)
    filled = Template((templates / "tensorrt_llm" / "engine.pbtxt").read_text()).substitute(
        engine_dir=engine_dir,
        max_batch_size=plan.limits.max_batch_size,
        max_queue_size=4 * plan.limits.max_batch_size,
        cache_fraction=plan.limits.cache_fraction,
    )
    (out / "config.pbtxt").write_text(filled)


def arguments(plan: Plan, defaults: Mapping[str, Any], model: str) -> dict[str, Any]:
    """``model.yaml``. A quantized checkpoint says so itself, so no key speaks of quantization."""
    limits = plan.limits
    found: dict[str, Any] = {
        **defaults,
        "model": model,
        "tensor_parallel_size": plan.tensor_parallel,
        "pipeline_parallel_size": plan.pipeline_parallel,
        "max_batch_size": limits.max_batch_size,
        "max_num_tokens": limits.max_num_tokens,
        "max_seq_len": limits.max_seq_len,
    }
    found["kv_cache_config"] = {
        **defaults["kv_cache_config"],
        "free_gpu_memory_fraction": limits.cache_fraction,
        "dtype": plan.how.cache or "auto",
    }
    if plan.lora is not None:
        found["enable_lora"] = True
        found["lora_config"] = {
            "lora_target_modules": list(plan.lora.modules),
            "max_lora_rank": plan.lora.max_rank,
            "max_loras": plan.lora.on_gpu,
            "max_cpu_loras": plan.lora.on_host,
        }
    return found


def _tensors(config: Path) -> str:
    """Inputs and outputs of a config.pbtxt, as text."""
    parsed = text_format.Parse(config.read_text(), model_config_pb2.ModelConfig())
    tensors = model_config_pb2.ModelConfig(input=parsed.input, output=parsed.output)
    text: str = text_format.MessageToString(tensors)
    return text
