"""Concurrent streams, straight to Triton or through the gateway's gRPC. Order and figures as JSON.

``{"kind": "direct" | "gateway", "address", "model", "key", "streams", "seconds", "max_tokens",
"expected"}``; ``seconds`` 0 asks once per stream. ``expected`` is the whole text, "" = any.
"""

import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any, Final

import grpc
from tritonclient.grpc import service_pb2_grpc

from protos.inference.v1.inference_service_pb2 import GenerateRequest, Message
from protos.inference.v1.inference_service_pb2_grpc import InferenceServiceStub
from services.inference.adapters import tensors
from services.inference.domain.generation import Sampling
from tests.bench.serving.figures import percentile

PROMPT: Final = "Write a list of animals: cat, dog,"
ANSWER_S: Final = 60.0

Pieces = AsyncIterator[tuple[str, int]]
"""Text as it comes; the last one with the number of tokens."""


@dataclass(slots=True)
class Tally:
    first_s: list[float] = field(default_factory=list)
    tokens: int = 0
    answers: int = 0
    failures: list[str] = field(default_factory=list)
    wrong: int = 0


async def direct(channel: grpc.aio.Channel, order: dict[str, Any]) -> Pieces:
    stub: Any = service_pb2_grpc.GRPCInferenceServiceStub(channel)
    wish = Sampling(max_tokens=order["max_tokens"], temperature=0.0, top_p=1.0, seed=1)
    call = stub.ModelStreamInfer(timeout=ANSWER_S)
    await call.write(tensors.request(order["model"], PROMPT, wish))
    await call.done_writing()
    async for answer in call:
        if answer.error_message:
            raise RuntimeError(answer.error_message[:200])
        text, tokens = "", 0
        response = answer.infer_response
        for output, raw in zip(response.outputs, response.raw_output_contents, strict=False):
            if output.name == "text_output":
                text += "".join(tensors.texts(raw))
            elif output.name == "num_output_tokens":
                tokens = int(tensors.number(output.datatype, raw) or 0)
        yield text, tokens


async def through(channel: grpc.aio.Channel, order: dict[str, Any]) -> Pieces:
    request = GenerateRequest(
        messages=[Message(role="user", content=PROMPT)], max_tokens=order["max_tokens"]
    )
    key = (("authorization", f"Bearer {order['key']}"),)
    call = InferenceServiceStub(channel).GenerateStream(request, metadata=key, timeout=ANSWER_S)
    async for chunk in call:
        yield chunk.delta, chunk.usage.completion_tokens


async def stream(
    channel: grpc.aio.Channel, order: dict[str, Any], end: float, tally: Tally
) -> None:
    pieces = direct if order["kind"] == "direct" else through
    while True:
        begun, first, text = time.perf_counter(), 0.0, ""
        try:
            async for piece, tokens in pieces(channel, order):
                if piece and not first:
                    first = time.perf_counter() - begun
                text += piece
                tally.tokens += tokens
        except (grpc.aio.AioRpcError, RuntimeError) as error:
            tally.failures.append(repr(error)[:300])
        else:
            tally.answers += 1
            tally.first_s.append(first)
            tally.wrong += bool(order["expected"]) and text != order["expected"]
        if time.perf_counter() >= end:
            return


async def run(order: dict[str, Any]) -> dict[str, Any]:
    tally, begun = Tally(), time.perf_counter()
    async with grpc.aio.insecure_channel(order["address"]) as channel:
        await channel.channel_ready()
        end = begun + order["seconds"]
        await asyncio.gather(*(stream(channel, order, end, tally) for _ in range(order["streams"])))
    return {
        "rate": tally.tokens / (time.perf_counter() - begun),
        "answers": tally.answers,
        "first_p50_s": percentile(tally.first_s, 0.5),
        "first_p99_s": percentile(tally.first_s, 0.99),
        "failed": len(tally.failures),
        "failure": tally.failures[0] if tally.failures else "",
        "wrong": tally.wrong,
    }


if __name__ == "__main__":
    print(json.dumps(asyncio.run(run(json.load(sys.stdin)))))
