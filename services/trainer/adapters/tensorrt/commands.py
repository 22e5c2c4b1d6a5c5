"""The exact commands, for inside of the image. A test holds every flag to ``names.json``."""

from collections.abc import Iterable
from pathlib import Path
from typing import Final

from services.trainer.adapters.tensorrt.plan import AWQ_BLOCK, Flow, Plan

Command = tuple[str, ...]

LABEL: Final = "perennial=build"
"""Of every container: `docker ps --filter label=perennial=build`."""
EXAMPLES: Final = "/app/examples"
CALIBRATION_ROWS: Final = 512
CALIBRATION_SEED: Final = 1234


def checkpoint(plan: Plan, model: Path, out: Path, calibration: str) -> Command | None:
    """From transformers' directory to what the engine loads or is compiled of.

    Args:
        calibration: directory of the rows that quantization is fitted on.
    Returns:
        None when the engine loads the directory as it is.
    """
    compiled = plan.flow is Flow.COMPILED
    if plan.how.quantizer:
        return _quantize(plan, model, out, calibration, hugging_face=not compiled)
    return _convert(plan, model, out) if compiled else None


def compile_engine(plan: Plan, weights: Path, out: Path) -> Command:
    """``trtllm-build``: one ``rankN.engine`` per rank, one after the other on one GPU."""
    limits = plan.limits
    return (
        "trtllm-build",
        *("--checkpoint_dir", str(weights), "--output_dir", str(out)),
        *("--max_batch_size", str(limits.max_batch_size)),
        *("--max_num_tokens", str(limits.max_num_tokens)),
        *("--max_seq_len", str(limits.max_seq_len), "--max_beam_width", "1"),
        *("--kv_cache_type", "paged", "--gpt_attention_plugin", "auto"),
        *("--use_paged_context_fmha", "enable", "--remove_input_padding", "enable"),
        *("--multiple_profiles", "enable", "--workers", "1", "--log_level", "info"),
        *(() if plan.precision in ("fp8", "nvfp4") else ("--gemm_plugin", "auto")),
        *_lora(plan),
    )


def serve(plan: Plan, repository: Path, ports: tuple[int, int, int]) -> Command:
    """Triton with an engine of this plan.

    In the foreground for ``llmapi``, whose LLM() starts its own ranks. The launcher of compiled
    engines starts Triton under mpirun and returns: it must not be a container's first process.

    Args:
        ports: of HTTP, gRPC and metrics.
    """
    http, grpc, metrics = (str(port) for port in ports)
    if plan.flow is Flow.COMPILED:
        return (
            *("python3", "/app/scripts/launch_triton_server.py"),
            *("--world_size", str(plan.ranks), "--model_repo", str(repository)),
            *("--http_port", http, "--grpc_port", grpc, "--metrics_port", metrics),
            *("--exit_timeout", "60"),
        )
    return (
        "/opt/tritonserver/bin/tritonserver",
        f"--model-repository={repository}",
        *("--http-address=127.0.0.1", "--grpc-address=127.0.0.1", "--metrics-address=127.0.0.1"),
        *(f"--http-port={http}", f"--grpc-port={grpc}", f"--metrics-port={metrics}"),
        *("--exit-timeout-secs=60", "--disable-auto-complete-config"),
        "--backend-config=python,shm-region-prefix-name=prefix0_",
    )


def stock_models(plan: Plan, repository: Path, tokenizer_dir: Path) -> list[Command]:
    """The image's own models around a compiled engine, filled in by its own tool."""
    stock, fill = "/app/all_models/inflight_batcher_llm", "/app/tools/fill_template.py"
    size = f"triton_max_batch_size:{plan.limits.max_batch_size}"
    filled = {
        "preprocessing": f"tokenizer_dir:{tokenizer_dir},{size},preprocessing_instance_count:2",
        "postprocessing": f"tokenizer_dir:{tokenizer_dir},{size},postprocessing_instance_count:2",
        "tensorrt_llm_bls": f"{size},decoupled_mode:True,accumulate_tokens:True,"
        f"bls_instance_count:{plan.limits.max_batch_size},logits_datatype:TYPE_FP32,"
        "tensorrt_llm_model_name:tensorrt_llm",
    }
    commands: list[Command] = []
    for name, values in filled.items():
        target = repository / name
        commands.append(("cp", "-r", f"{stock}/{name}", str(target)))
        commands.append(("python3", fill, "-i", str(target / "config.pbtxt"), values))
    return commands


def in_image(
    image: str, name: str, work: Path, command: Command, reads: Iterable[Path] = ()
) -> Command:
    """A command of the image, where docker and the NVIDIA container toolkit are.

    Args:
        image: with its digest.
        name: of the container.
        reads: directories that the command reads, beside ``work``.
    """
    read = [part for path in dict.fromkeys(reads) for part in ("-v", f"{path}:{path}:ro")]
    return (
        *("docker", "run", "--rm", "--name", name, "--label", LABEL, "--init"),
        *("--gpus", "all", "--network", "none"),
        *("--shm-size=2g", "--ulimit", "memlock=-1", "--ulimit", "stack=67108864"),
        *("-e", "HF_HUB_OFFLINE=1", "-v", f"{work}:{work}", *read, "-w", str(work)),
        image,
        *command,
    )


def remove(name: str) -> Command:
    """Of a container that a killed process may have left running."""
    return ("docker", "rm", "--force", name)


def _quantize(
    plan: Plan, model: Path, out: Path, calibration: str, *, hugging_face: bool
) -> Command:
    how = plan.how
    return (
        *("python3", f"{EXAMPLES}/quantization/quantize.py"),
        *("--model_dir", str(model), "--output_dir", str(out)),
        *("--dtype", how.dtype, "--qformat", how.quantizer),
        *(("--kv_cache_dtype", how.cache) if how.cache else ()),
        *(("--awq_block_size", str(AWQ_BLOCK)) if how.quantizer == "int4_awq" else ()),
        *("--calib_dataset", calibration, "--calib_size", str(CALIBRATION_ROWS)),
        *("--seed", str(CALIBRATION_SEED)),
        *(("--export_format", "hf") if hugging_face else _parallel(plan)),
    )


def _convert(plan: Plan, model: Path, out: Path) -> Command:
    return (
        *("python3", f"{EXAMPLES}/models/core/llama/convert_checkpoint.py"),
        *("--model_dir", str(model), "--output_dir", str(out)),
        *("--dtype", plan.how.dtype, *_parallel(plan), "--workers", "1"),
    )


def _parallel(plan: Plan) -> Command:
    return ("--tp_size", str(plan.tensor_parallel), "--pp_size", str(plan.pipeline_parallel))


def _lora(plan: Plan) -> Command:
    if plan.lora is None:
        return ()
    return (
        *("--lora_plugin", "auto", "--lora_target_modules", *plan.lora.modules),
        *("--max_lora_rank", str(plan.lora.max_rank)),
    )
