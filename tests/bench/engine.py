"""The engine through Triton against its runtime called directly: tokens per second.

``python -m tests.bench.engine GGUF [ROUNDS]``; both run on this machine, in turns.
"""

import asyncio
import json
import platform
import random
import statistics
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import grpc
from tritonclient.grpc import service_pb2 as kserve
from tritonclient.grpc import service_pb2_grpc

from infra.local.home import REPO, Home, credentials
from infra.local.ports import Ports
from infra.local.triton import VENV, models
from infra.local.triton import triton as triton_process
from services.inference.adapters import tensors, triton
from services.inference.adapters.engine_host import TritonHost
from services.inference.adapters.room import Room
from services.inference.domain.generation import Sampling
from services.inference.domain.release import Engine, File
from tests.integration.inference.conftest import FolderStore

STREAMS = (1, 4, 8)
GOAL = 0.9
NEW, WORDS = 64, 90
OUT = REPO / ".perennial" / "bench" / "engine.json"
TOKENIZER = REPO / ".build" / "base-model" / "tokenizer.json"


@asynccontextmanager
async def loaded(gguf: Path, home: Home) -> AsyncIterator[tuple[grpc.aio.Channel, str]]:
    """A Triton with the engine in it: its channel, and the engine's digest."""
    home.make()
    keys = credentials(home)
    part = triton_process(home, Ports.of(home), keys)
    part.prepare()
    log = home.log("triton").open("wb")
    process = await asyncio.create_subprocess_exec(
        *part.command, env=part.environment, stdout=log, stderr=log
    )
    store = FolderStore()
    weights, tokenizer = store.put_file(gguf, ""), store.put_file(TOKENIZER, "")
    engine = Engine("be7c" * 16, _file(weights), _file(tokenizer), "")
    try:
        async with triton.connect(part.addresses["triton"]) as channel:
            await asyncio.wait_for(channel.channel_ready(), 120)
            host = TritonHost(
                channel=channel,
                token=keys.triton_repository_token,
                store=store,
                templates=REPO / "infra" / "triton" / "llm",
                model_repository=models(home),
                cache=home.path / "engines",
                cache_size_gb=0.3,
                timeout_s=120,
                room=Room(0, 0),
            )
            await host.load(engine)
            yield channel, engine.digest
    finally:
        process.terminate()
        await process.wait()


def _file(artifact: Any) -> File:
    return File(artifact.uri, artifact.sha256, artifact.size_bytes, artifact.media_type)


async def through_triton(channel: grpc.aio.Channel, digest: str, streams: int) -> float:
    """Tokens per second of ``streams`` answers at once."""
    started = time.perf_counter()
    tokens = await asyncio.gather(*(_one(channel, digest) for _ in range(streams)))
    return sum(tokens) / (time.perf_counter() - started)


async def _one(channel: grpc.aio.Channel, digest: str) -> int:
    words = (f"{random.randrange(10**4):04d}"[:1] for _ in range(WORDS))
    request = tensors.request(f"llm-{digest[:16]}", " ".join(words)[:100], SAMPLING)
    request.inputs.add(name="sampling_param_min_tokens", datatype="INT32", shape=[1])
    request.raw_input_contents.append(NEW.to_bytes(4, "little"))
    stub: Any = service_pb2_grpc.GRPCInferenceServiceStub(channel)
    call = stub.ModelStreamInfer(timeout=120)
    await call.write(request)
    await call.done_writing()
    tokens = 0
    async for answer in call:
        assert not answer.error_message, answer.error_message
        tokens = _count(answer.infer_response) or tokens
    return tokens


def _count(response: kserve.ModelInferResponse) -> int:
    for output, raw in zip(response.outputs, response.raw_output_contents, strict=False):
        if output.name == "num_output_tokens":
            return int(tensors.number(output.datatype, raw) or 0)
    return 0


SAMPLING = Sampling(NEW, temperature=0.0, top_p=1.0, seed=1)


class Direct:
    """The runtime in a process of its own."""

    def __init__(self, gguf: Path) -> None:
        command = [VENV / "bin" / "python", REPO / "tests" / "bench" / "engine_direct.py", gguf]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self._line() == "ready"

    def __call__(self, streams: int) -> float:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{streams}\n")
        self._process.stdin.flush()
        return float(self._line())

    def close(self) -> None:
        self._process.terminate()
        self._process.wait()

    def _line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()


async def measure(gguf: Path, rounds: int) -> dict[int, tuple[list[float], list[float]]]:
    """Per number of streams: tokens per second through Triton, and direct, by round."""
    found: dict[int, tuple[list[float], list[float]]] = {each: ([], []) for each in STREAMS}
    direct = Direct(gguf)
    try:
        with TemporaryDirectory() as directory:
            async with loaded(gguf, Home.of(Path(directory))) as (channel, digest):
                for streams in STREAMS:  # warm both
                    await through_triton(channel, digest, streams)
                    await asyncio.to_thread(direct, streams)
                for _ in range(rounds):
                    for streams in STREAMS:
                        ours, theirs = found[streams]
                        ours.append(await through_triton(channel, digest, streams))
                        theirs.append(await asyncio.to_thread(direct, streams))
    finally:
        direct.close()
    return found


def report(found: dict[int, tuple[list[float], list[float]]]) -> dict[str, Any]:
    results = []
    for streams, (ours, theirs) in found.items():
        ratios = [a / b for a, b in zip(ours, theirs, strict=True)]
        ratio = statistics.median(ratios)
        results.append(
            {
                "name": f"tokens/s at {streams} streams",
                "ours": round(statistics.median(ours), 1),
                "peer": round(statistics.median(theirs), 1),
                "unit": "tokens/s",
                "ratio": round(ratio, 3),
                "spread": [round(min(ratios), 3), round(max(ratios), 3)],
                "n": len(ratios),
                "goal": f">= {GOAL}",
                "met": ratio >= GOAL,
            }
        )
    versions = {name: version(name) for name in ("grpcio", "tritonclient")}
    return {"machine": platform.platform(), "versions": versions, "results": results}


def main() -> None:
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 5
    told = report(asyncio.run(measure(Path(sys.argv[1]), rounds)))
    OUT.parent.mkdir(parents=True, exist_ok=True)
    OUT.write_text(json.dumps(told, indent=2))
    for each in told["results"]:
        print(
            f"{each['name']:24} {each['ours']:8} against {each['peer']:8}"
            f"  ratio {each['ratio']} {each['spread']}  goal {each['goal']}"
            f"  {'met' if each['met'] else 'MISSED'}"
        )


if __name__ == "__main__":
    main()
