"""OpenVINO's continuous batching over one GGUF file: admit, step, read, rebuild."""

import shutil
import struct
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy
import openvino
import openvino_genai as genai

KEPT = Path(__file__).with_name("kept")
"""What is made here for the next load of the same weights."""
BLOCK_TOKENS = 32
CACHE_BYTES_PER_VALUE = 1.25
"""Keys and values in 8 bits, and their scales and zero points."""
_STRING = 8
_SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q"}
_REASONS = {
    genai.GenerationFinishReason.STOP: "stop",
    genai.GenerationFinishReason.LENGTH: "length",
}


class Engine:
    """One pipeline; only the engine thread may call it after ``build``.

    Args:
        parameters: of config.pbtxt: ``gguf``, the path of the weights; ``cache_size_gb``, the
            upper bound of the key/value cache, GiB; ``prefix_reuse``, "true" keeps whole blocks
            of prompts for those that begin alike.
    """

    def __init__(self, parameters: Mapping[str, str]) -> None:
        self._gguf = gguf = parameters["gguf"]
        cache_gb = float(parameters["cache_size_gb"])
        shape = read_shape(gguf)
        width = shape["embedding_length"] // shape["attention.head_count"]
        values = 2 * shape["block_count"] * shape["attention.head_count_kv"] * width
        per_block = values * CACHE_BYTES_PER_VALUE * BLOCK_TOKENS
        self._blocks = max(8, int(cache_gb * 2**30 / per_block))
        self._reuse = parameters.get("prefix_reuse") == "true"
        self._number = 0
        self._tokenizer = runtime_tokenizer(gguf, KEPT / genai.get_version())
        self.render = self._tokenizer.apply_chat_template
        self.context_tokens = min(shape["context_length"], (self._blocks - 1) * BLOCK_TOKENS)
        self.build()

    def build(self) -> None:
        """Load the weights; also the way back after ``step`` raised."""
        scheduler = genai.SchedulerConfig()
        scheduler.num_kv_blocks = self._blocks
        scheduler.enable_prefix_caching = self._reuse
        self._pipeline: Any = None
        self._pipeline = genai.ContinuousBatchingPipeline(
            self._gguf, self._tokenizer, scheduler, "CPU"
        )
        self._eos = self._pipeline.get_config().eos_token_id

    def close(self) -> None:
        """Let go of the weights."""
        self._pipeline = None

    def admit(self, request: Any) -> None:
        """Put a request into the batch, behind the tokens that it was given by an engine before.

        What the engine cannot follow of its schema is known only when ``step`` raises.
        """
        config = genai.GenerationConfig()
        config.eos_token_id = self._eos
        config.stop_token_ids = {self._eos}
        config.max_new_tokens = request.max_tokens - request.num_output_tokens
        config.apply_chat_template = False
        config.logprobs = 1
        config.frequency_penalty = request.frequency_penalty
        config.presence_penalty = request.presence_penalty
        config.min_new_tokens = max(0, request.min_tokens - request.num_output_tokens)
        if request.json_schema:
            guide = genai.StructuredOutputConfig()
            guide.json_schema = request.json_schema
            config.structured_output_config = guide
        if request.temperature > 0:
            config.do_sample = True
            config.temperature = request.temperature
            config.top_p = request.top_p
            config.rng_seed = request.next_seed
            if request.top_k:
                config.top_k = request.top_k
        self._number += 1
        ids = openvino.Tensor(numpy.array([request.ids + request.given], dtype=numpy.int64))
        request.handle = self._pipeline.add_request(self._number, ids, config)

    def step(self) -> None:
        """One token, or a part of a prompt, for everybody in the batch."""
        if self._pipeline.has_non_finished_requests():
            self._pipeline.step()


def runtime_tokenizer(gguf: str, kept: Path) -> Any:
    """The runtime's own, for templates and schemas. It takes half of a load to make it of GGUF
    (3 s), and 0.2 s to read what was ``kept`` then."""
    if kept.exists():
        with suppress(RuntimeError):  # damaged
            return genai.Tokenizer(kept)
        shutil.rmtree(kept, ignore_errors=True)
    try:
        kept.parent.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(dir=kept.parent) as partial:
            weights = Path(partial) / "model.gguf"  # what is made is saved beside it
            weights.symlink_to(gguf)
            made = genai.Tokenizer(weights, enable_save_ov_model=True)
            Path(partial).rename(kept)
            return made
    except (OSError, RuntimeError):  # nowhere to keep it
        return genai.Tokenizer(gguf)


def news(handle: Any) -> tuple[list[int], list[float], str | None]:
    """``(token ids, their log-probabilities, reason or None)`` since the last call."""
    ids: list[int] = []
    scores: list[float] = []
    reason: str | None = None
    if handle.can_read():
        for output in handle.read().values():
            ids += output.generated_ids
            scores += output.generated_log_probs
            reason = _REASONS.get(output.finish_reason, reason)
    status = handle.get_status()
    if reason is None and status == genai.GenerationStatus.FINISHED and not handle.can_read():
        reason = "length"
    if status == genai.GenerationStatus.IGNORED:
        raise RuntimeError("the cache has no room for the prompt")
    return ids, scores, reason


def read_shape(path: str) -> dict[str, Any]:
    """The model's shape: GGUF's ``llama.*`` scalars, which stand before the first list.

    Raises:
        ValueError: the file is not GGUF.
    """
    with open(path, "rb") as file:
        magic, _version, _tensors, pairs = struct.unpack("<4sIQQ", file.read(24))
        if magic != b"GGUF":
            raise ValueError(f"{path} is not GGUF")
        found: dict[str, Any] = {}
        for _ in range(pairs):
            key = file.read(struct.unpack("<Q", file.read(8))[0]).decode()
            (kind,) = struct.unpack("<I", file.read(4))
            if kind == _STRING:
                file.seek(struct.unpack("<Q", file.read(8))[0], 1)
            elif kind in _SCALARS:
                code = "<" + _SCALARS[kind]
                (value,) = struct.unpack(code, file.read(struct.calcsize(code)))
                found[key.partition(".")[2]] = value
            else:
                return found
    return found
