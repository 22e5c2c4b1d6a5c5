"""A Triton whose every engine counts: a lost or reordered frame would be seen.

``python -m tests.bench.serving.numbered PORT [FRAMES PAUSE_S]``
"""

import asyncio
import struct
import sys
from collections.abc import AsyncIterator
from typing import Any, Final

import grpc
from tritonclient.grpc import service_pb2 as kserve
from tritonclient.grpc import service_pb2_grpc

FRAMES: Final = 64


def text(frames: int = FRAMES) -> str:
    return "".join(f"{number} " for number in range(frames))


def frame(text: str, tokens: int = 0) -> Any:
    made = kserve.ModelStreamInferResponse()
    inner, raw = made.infer_response, text.encode()
    inner.outputs.add(name="text_output", datatype="BYTES", shape=[1])
    inner.raw_output_contents.append(struct.pack("<I", len(raw)) + raw)
    if tokens:
        inner.outputs.add(name="finish_reason", datatype="BYTES", shape=[1])
        inner.raw_output_contents.append(struct.pack("<I", 6) + b"length")
        for name, count in (("num_input_tokens", 8), ("num_output_tokens", tokens)):
            inner.outputs.add(name=name, datatype="INT32", shape=[1])
            inner.raw_output_contents.append(struct.pack("<i", count))
        inner.parameters["triton_final_response"].bool_param = True
    return made


def wanted(request: Any) -> int:
    """The most tokens that it asks for: a probe wants one."""
    for tensor, raw in zip(request.inputs, request.raw_input_contents, strict=True):
        if tensor.name == "sampling_param_max_tokens":
            return int(struct.unpack("<i", raw)[0])
    return FRAMES


class Counting(service_pb2_grpc.GRPCInferenceServiceServicer):  # type: ignore[misc]
    def __init__(self, frames: int, pause_s: float) -> None:
        self._frames, self._pause_s = frames, pause_s

    async def ModelStreamInfer(  # Triton's name
        self, requests: AsyncIterator[Any], context: Any
    ) -> AsyncIterator[Any]:
        async for request in requests:
            frames = min(self._frames, wanted(request))
            for number in range(frames):
                last = number == frames - 1
                yield frame(f"{number} ", frames if last else 0)
                if self._pause_s:
                    await asyncio.sleep(self._pause_s)


async def main(port: int, frames: int, pause_s: float) -> None:
    server = grpc.aio.server()
    counting = Counting(frames, pause_s)
    service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(counting, server)
    server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    await server.wait_for_termination()


if __name__ == "__main__":
    port, frames, pause_s = [*sys.argv[1:], str(FRAMES), "0"][:3]
    asyncio.run(main(int(port), int(frames), float(pause_s)))
