"""A Triton whose every engine counts: a lost or reordered frame would be seen.

``python -m tests.bench.serving.numbered PORT``
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
TEXT: Final = "".join(f"{number} " for number in range(FRAMES))


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


class Counting(service_pb2_grpc.GRPCInferenceServiceServicer):  # type: ignore[misc]
    async def ModelStreamInfer(  # Triton's name
        self, requests: AsyncIterator[Any], context: Any
    ) -> AsyncIterator[Any]:
        async for _ in requests:
            for number in range(FRAMES):
                last = number == FRAMES - 1
                yield frame(f"{number} ", FRAMES if last else 0)


async def main(port: int) -> None:
    server = grpc.aio.server()
    service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(Counting(), server)
    server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    await server.wait_for_termination()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
