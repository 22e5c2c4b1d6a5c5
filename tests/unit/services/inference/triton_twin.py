"""A KServe gRPC server that behaves like Triton with the engine's model: for tests."""

import asyncio
import struct
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc
from tritonclient.grpc import service_pb2 as kserve
from tritonclient.grpc import service_pb2_grpc

from services.inference.adapters import tensors
from tests.unit.services.inference.fakes import CONTEXT_CHARACTERS, JSON_WORDS, WORDS, word

HEADER = "triton-grpc-protocol-perennial-repository"


@dataclass
class TritonTwin(service_pb2_grpc.GRPCInferenceServiceServicer):  # type: ignore[misc]
    token: str = "token-of-the-repository"
    models: set[str] = field(default_factory=set)
    dead: set[str] = field(default_factory=set)
    delay_s: float = 0.0
    seen: list[dict[str, Any]] = field(default_factory=list)
    cut_short: bool = False

    async def ModelStreamInfer(
        self, requests: AsyncIterator[Any], context: Any
    ) -> AsyncGenerator[Any, None]:
        async for request in requests:
            if request.model_name not in self.models:
                message = f"Request for unknown model: '{request.model_name}' is not found"
                await context.abort(grpc.StatusCode.NOT_FOUND, message)
            if request.model_name in self.dead:
                message = f"Stub process '{request.model_name}' is not healthy."
                await context.abort(grpc.StatusCode.INTERNAL, message)
            inputs = read(request)
            self.seen.append(inputs)
            if len(inputs["text_input"][0]) > CONTEXT_CHARACTERS:
                message = "9000 prompt tokens and 64 new ones exceed 8192"
                await context.abort(grpc.StatusCode.INVALID_ARGUMENT, message)
            async for response in self._answer(inputs):
                yield response

    async def _answer(self, inputs: dict[str, Any]) -> AsyncGenerator[Any, None]:
        guided = inputs.get("guided_decoding_guide_type") == ["json_schema"]
        words = list(JSON_WORDS) if guided else [word(index) for index in range(WORDS)]
        tokens = min(inputs["sampling_param_max_tokens"], len(words))
        for text in words[:tokens]:
            if self.delay_s:
                await asyncio.sleep(self.delay_s)
            yield piece(text, logprobs=inputs.get("return_log_probs", False))
        if self.cut_short:
            return
        reason = "stop" if tokens == len(words) else "length"
        yield piece("", reason, len(inputs["text_input"][0].split()), tokens)
        final = kserve.ModelStreamInferResponse()
        final.infer_response.parameters["triton_final_response"].bool_param = True
        yield final

    async def ModelInfer(self, request: Any, context: Any) -> Any:
        if request.model_name != "embedding":
            await context.abort(grpc.StatusCode.NOT_FOUND, "no such model")
        rows = [[float(len(t)), 1.0] for t in tensors.texts(request.raw_input_contents[0])]
        response = kserve.ModelInferResponse()
        response.outputs.add(name="embedding", datatype="FP32", shape=[len(rows), 2])
        flat = [value for row in rows for value in row]
        response.raw_output_contents.append(struct.pack(f"<{len(flat)}f", *flat))
        return response

    async def RepositoryModelLoad(self, request: Any, context: Any) -> Any:
        await self._insist(context)
        if request.model_name.endswith("broken"):
            message = f"failed to load '{request.model_name}', failed to poll"
            await context.abort(grpc.StatusCode.INTERNAL, message)
        self.models.add(request.model_name)
        self.dead.discard(request.model_name)
        return kserve.RepositoryModelLoadResponse()

    async def RepositoryModelUnload(self, request: Any, context: Any) -> Any:
        await self._insist(context)
        self.models.discard(request.model_name)
        return kserve.RepositoryModelUnloadResponse()

    async def RepositoryIndex(self, request: Any, context: Any) -> Any:
        await self._insist(context)
        response = kserve.RepositoryIndexResponse()
        for name in ("embedding", *self.models):
            response.models.add(name=name, version="1", state="READY")
        return response

    async def _insist(self, context: Any) -> None:
        if dict(context.invocation_metadata()).get(HEADER) != self.token:
            message = "This protocol is restricted, expecting header"
            await context.abort(grpc.StatusCode.UNAVAILABLE, message)


def read(request: Any) -> dict[str, Any]:
    """Tensors by name: strings as lists, the rest as the first element."""
    formats = {"INT32": "<i", "FP32": "<f", "UINT64": "<Q", "BOOL": "<?"}
    found: dict[str, Any] = {}
    for tensor, raw in zip(request.inputs, request.raw_input_contents, strict=True):
        if tensor.datatype == "BYTES":
            found[tensor.name] = list(tensors.texts(raw))
            assert list(tensor.shape) == [len(found[tensor.name])]
        else:
            assert list(tensor.shape) == [1]
            (found[tensor.name],) = struct.unpack(formats[tensor.datatype], raw)
    return found


def piece(
    text: str, reason: str = "", asked: int = 0, tokens: int = 0, *, logprobs: bool = False
) -> Any:
    """One response of the engine; the last one says how it ended."""
    response = kserve.ModelStreamInferResponse()
    inner = response.infer_response
    raw = text.encode()
    inner.outputs.add(name="text_output", datatype="BYTES", shape=[1])
    inner.raw_output_contents.append(struct.pack("<I", len(raw)) + raw)
    if logprobs:
        inner.outputs.add(name="output_tokens", datatype="BYTES", shape=[1])
        inner.raw_output_contents.append(struct.pack("<I", len(raw)) + raw)
        inner.outputs.add(name="output_log_probs", datatype="FP32", shape=[1])
        inner.raw_output_contents.append(struct.pack("<f", -0.5))
    if reason:
        inner.outputs.add(name="finish_reason", datatype="BYTES", shape=[1])
        inner.raw_output_contents.append(struct.pack("<I", len(reason)) + reason.encode())
        inner.outputs.add(name="cumulative_logprob", datatype="FP32", shape=[1])
        inner.raw_output_contents.append(struct.pack("<f", -0.5 * tokens))
        for name, count in (("num_input_tokens", asked), ("num_output_tokens", tokens)):
            inner.outputs.add(name=name, datatype="INT32", shape=[1])
            inner.raw_output_contents.append(struct.pack("<i", count))
    return response


@asynccontextmanager
async def serving(twin: TritonTwin, port: int = 0) -> AsyncIterator[str]:
    """The twin on a local port, 0 for a free one; gives its address."""
    server = grpc.aio.server()
    service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(twin, server)
    port = server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        await server.stop(0)
