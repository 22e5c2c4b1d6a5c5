"""The one model contract on the wire: TensorRT-LLM's `llmapi` tensors, extended.

Requests are built from `tritonclient`'s own protobuf messages: its `InferInput` goes through
numpy arrays of objects, several times the cost of the whole rest of a request.
"""

import struct
from collections.abc import Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray
from tritonclient.grpc import service_pb2 as kserve

from services.inference.domain.generation import Sampling

TRUE: Final = b"\x01"
FALSE: Final = b"\x00"
FIXED: Final = (
    ("streaming", TRUE),
    ("delta", TRUE),
    ("apply_chat_template", FALSE),
    ("sampling_param_exclude_input_from_output", TRUE),
    ("return_finish_reason", TRUE),
    ("return_cumulative_logprob", TRUE),
    ("return_num_tokens", TRUE),
)


def request(model: str, prompt: str, sampling: Sampling) -> kserve.ModelInferRequest:
    """One streamed generation. No batch dimension: every tensor is ``[1]``, stops ``[n]``."""
    built = kserve.ModelInferRequest(model_name=model)
    built.parameters["triton_enable_empty_final_response"].bool_param = True
    _add(built, "text_input", "BYTES", _text(prompt))
    _add(built, "sampling_param_max_tokens", "INT32", struct.pack("<i", sampling.max_tokens))
    _add(built, "sampling_param_temperature", "FP32", struct.pack("<f", sampling.temperature))
    _add(built, "sampling_param_top_p", "FP32", struct.pack("<f", sampling.top_p))
    _add(built, "sampling_param_seed", "UINT64", struct.pack("<Q", sampling.seed))
    for name, code, datatype, wish in _optional(sampling):
        _add(built, name, datatype, struct.pack(code, wish))
    if sampling.stop:
        stops = b"".join(_text(stop) for stop in sampling.stop)
        _add(built, "sampling_param_stop", "BYTES", stops, len(sampling.stop))
    if sampling.form is not None:
        _add(built, "guided_decoding_guide_type", "BYTES", _text("json_schema"))
        _add(
            built,
            "guided_decoding_guide",
            "BYTES",
            _text(sampling.form.guide or sampling.form.schema),
        )
    if sampling.logprobs:
        _add(built, "return_log_probs", "BOOL", TRUE)
    for name, value in FIXED:
        _add(built, name, "BOOL", value)
    return built


def _optional(sampling: Sampling) -> Iterator[tuple[str, str, str, float]]:
    """Name, code, datatype and value of what is not left as it is."""
    if sampling.top_k:
        yield "sampling_param_top_k", "<i", "INT32", sampling.top_k
    if sampling.frequency_penalty:
        yield "sampling_param_frequency_penalty", "<f", "FP32", sampling.frequency_penalty
    if sampling.presence_penalty:
        yield "sampling_param_presence_penalty", "<f", "FP32", sampling.presence_penalty


def embedding_request(model: str, texts: list[str]) -> kserve.ModelInferRequest:
    """A batch for the embedding model: ``text`` STRING ``[n, 1]``."""
    built = kserve.ModelInferRequest(model_name=model)
    built.inputs.add(name="text", datatype="BYTES", shape=[len(texts), 1])
    built.raw_input_contents.append(b"".join(_text(text) for text in texts))
    return built


def embeddings(response: kserve.ModelInferResponse) -> NDArray[np.float32]:
    """``(n, dimensions)`` float32 out of ``embedding`` FP32 ``[n, dimensions]``."""
    for output, raw in zip(response.outputs, response.raw_output_contents, strict=True):
        if output.name == "embedding":
            return np.frombuffer(raw, "<f4").reshape(tuple(output.shape)).copy()
    raise ValueError("the answer has no tensor `embedding`")


def counts(response: kserve.ModelInferResponse, name: str) -> NDArray[np.int32]:
    """``(n,)`` int32 out of the INT32 tensor ``name``; empty where it is absent."""
    for output, raw in zip(response.outputs, response.raw_output_contents, strict=True):
        if output.name == name:
            return np.frombuffer(raw, "<i4").reshape(-1)
    return np.zeros(0, np.int32)


def elements(raw: bytes) -> Iterator[bytes]:
    """The elements of a BYTES tensor."""
    at = 0
    while at < len(raw):
        (size,) = struct.unpack_from("<I", raw, at)
        yield raw[at + 4 : at + 4 + size]
        at += 4 + size


def floats(raw: bytes) -> tuple[float, ...]:
    """The elements of an FP32 tensor."""
    return struct.unpack(f"<{len(raw) // 4}f", raw)


def texts(raw: bytes) -> Iterator[str]:
    """The elements of a BYTES tensor, as text."""
    return (element.decode(errors="replace") for element in elements(raw))


def first_text(raw: bytes) -> str:
    return next(texts(raw), "")


def number(datatype: str, raw: bytes) -> float | None:
    """The first element; None when absent. `llmapi` sends some numbers as text: both are read."""
    if not raw:
        return None
    try:
        match datatype:
            case "FP32":
                return float(struct.unpack_from("<f", raw)[0])
            case "INT32":
                return float(struct.unpack_from("<i", raw)[0])
            case "BYTES":
                return float(first_text(raw))
    except (struct.error, ValueError):
        return None
    return None


def is_final(response: kserve.ModelInferResponse) -> bool:
    name = "triton_final_response"
    return name in response.parameters and response.parameters[name].bool_param


def _add(
    built: kserve.ModelInferRequest, name: str, datatype: str, value: bytes, size: int = 1
) -> None:
    built.inputs.add(name=name, datatype=datatype, shape=[size])
    built.raw_input_contents.append(value)


def _text(value: str) -> bytes:
    raw = value.encode()
    return struct.pack("<I", len(raw)) + raw
