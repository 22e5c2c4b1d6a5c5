"""Clients that leave in the middle of an answer, and when the engine has its slot back. Order and
figures as JSON.

``{"how": "grpc" | "http" | "kill" | "deadline" | "queued", "rpc", "http", "triton", "model", "key",
"path", "body", "stamps", "others", "times", "pid", "deadline_s"}``: ``others`` answers go on
meanwhile, straight from Triton; ``pid`` is the gateway's, for "kill"; ``deadline_s`` 0 = none.
"""

import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import grpc
from tritonclient.grpc import service_pb2_grpc

from protos.inference.v1.inference_service_pb2 import GenerateRequest, Message
from protos.inference.v1.inference_service_pb2_grpc import InferenceServiceStub
from services.inference.adapters import tensors
from services.inference.domain.generation import Sampling
from tests.bench.serving import protocol
from tests.bench.serving.streams import PROMPT

LONG: Final = 1500
"""Tokens of the other answers."""
PATIENCE_S: Final = 5.0
"""A slot that is not back by then counts as this late."""
LOOK_S: Final = 0.01
Left = tuple[float, float]
"""When the client left or, with a deadline, began; and after how long it was told."""


async def run(order: dict[str, Any]) -> dict[str, list[float]]:
    """``freed_s``, since the client left, or since the request began when it had a deadline;
    ``step_s`` of the engine then; ``told_s``, when a caller with a deadline was told."""
    told: dict[str, list[float]] = {"freed_s": [], "step_s": [], "told_s": []}
    async with (
        grpc.aio.insecure_channel(order["triton"]) as engine,
        grpc.aio.insecure_channel(order["rpc"]) as gateway,
    ):
        begun = [asyncio.Event() for _ in range(order["others"])]
        others = [asyncio.create_task(_another(engine, order["model"], each)) for each in begun]
        await asyncio.gather(*(each.wait() for each in begun))
        for _ in range(order["times"]):
            left_s, told_s = await WAYS[order["how"]](gateway, order)
            told["told_s"].append(told_s)
            freed_s, step_s = await _freed(order, left_s)
            told["freed_s"].append(freed_s)
            told["step_s"].append(step_s)
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
    return told


async def _another(channel: grpc.aio.Channel, model: str, begun: asyncio.Event) -> None:
    """Long answers, one after the other."""
    stub: Any = service_pb2_grpc.GRPCInferenceServiceStub(channel)
    wish = Sampling(max_tokens=LONG, temperature=0.0, top_p=1.0, seed=1)
    while True:
        request = tensors.request(model, PROMPT, wish)
        request.inputs.add(name="sampling_param_min_tokens", datatype="INT32", shape=[1])
        request.raw_input_contents.append(LONG.to_bytes(4, "little"))
        call = stub.ModelStreamInfer()
        await call.write(request)
        await call.done_writing()
        async for _ in call:
            begun.set()


async def _cancelled(gateway: grpc.aio.Channel, order: dict[str, Any]) -> Left:
    call = _call(gateway, order, None)
    await call.read()
    await call.read()
    return _now(order, call.cancel)


async def _killed(gateway: grpc.aio.Channel, order: dict[str, Any]) -> Left:
    call = _call(gateway, order, None)
    await call.read()
    await call.read()
    return _now(order, lambda: os.kill(order["pid"], signal.SIGKILL))


async def _expired(gateway: grpc.aio.Channel, order: dict[str, Any]) -> Left:
    begun_s, _ = _now(order, lambda: None)
    try:
        async for _ in _call(gateway, order, order["deadline_s"]):
            pass
    except grpc.aio.AioRpcError as error:
        if error.code() is not grpc.StatusCode.DEADLINE_EXCEEDED:
            raise
    return begun_s, time.monotonic() - begun_s


async def _queued(gateway: grpc.aio.Channel, order: dict[str, Any]) -> Left:
    """Behind another answer, where there is one place; the slot is the other's."""
    first = _call(gateway, order, None)
    await first.read()
    _, told_s = await _expired(gateway, order)
    left_s, _ = _now(order, first.cancel)
    return left_s, told_s


async def _closed(gateway: grpc.aio.Channel, order: dict[str, Any]) -> Left:
    host, _, port = order["http"].rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    headers = {"authorization": f"Bearer {order['key']}"}
    writer.write(protocol.request(order["http"], order["path"], headers, order["body"].encode()))
    for _ in range(2):
        await reader.readuntil(b'"delta":{"content"')
    return _now(order, writer.close)


WAYS: Final = {
    "grpc": _cancelled,
    "http": _closed,
    "kill": _killed,
    "deadline": _expired,
    "queued": _queued,
}


def _call(gateway: grpc.aio.Channel, order: dict[str, Any], timeout_s: float | None) -> Any:
    request = GenerateRequest(messages=[Message(role="user", content=PROMPT)], max_tokens=LONG)
    key = (("authorization", f"Bearer {order['key']}"),)
    stub: Any = InferenceServiceStub(gateway)
    return stub.GenerateStream(request, metadata=key, timeout=timeout_s)


def _now(order: dict[str, Any], leave: Callable[[], object]) -> Left:
    """Leave, after counting the slots that came back before."""
    order["before"] = len(_stamps(order))
    at = time.monotonic()
    leave()
    return at, 0.0


async def _freed(order: dict[str, Any], since_s: float) -> tuple[float, float]:
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        stamps = _stamps(order)
        if len(stamps) > order["before"]:
            at_s, step_s, _ = stamps[order["before"]].split()
            return float(at_s) - since_s, float(step_s)
        await asyncio.sleep(LOOK_S)
    return PATIENCE_S, 0.0


def _stamps(order: dict[str, Any]) -> list[str]:
    path = Path(order["stamps"])
    return path.read_text().splitlines() if path.exists() else []


if __name__ == "__main__":
    print(json.dumps(asyncio.run(run(json.load(sys.stdin)))))
