"""Memory: of the gateway under load and under a thousand streams, of the engine by its answers."""

import os
import sys
import time
from pathlib import Path
from typing import Final

import psutil

from tests.bench.serving.figures import Result, alone, impossible
from tests.bench.serving.gateways import (
    Gateway,
    perennial,
    provided,
    routing_table,
    upstream_command,
)
from tests.bench.serving.mock_cells import shoot
from tests.bench.serving.numbered import text
from tests.bench.serving.processes import CLIENT_CORE, free_port, listening, running
from tests.bench.serving.real_triton import ENGINE, MISSING, RealTriton, is_possible, triton
from tests.bench.serving.triton_cells import streamed

MEMORY_S: Final = float(os.environ.get("MEMORY_S", "60"))
SETTLE_S: Final = 15.0
CROWD: Final = 1000
CROWD_GOES: Final = 3
FRAMES: Final = 12
PAUSE_S: Final = 1.0
"""Between frames: all thousand streams are open at once, as they are where models think."""
CACHE_GB: Final = 0.1
"""Of the engine: touched whole by a few hundred short answers, so that growth is seen beside it."""
SHORT: Final = 4
"""Tokens."""
GO_S: Final = 20.0
ANSWERS: Final = 4000
ENGINE_GROWTH: Final = "memory: engine, growth per 1000 answers"
MIB: Final = 2**20


def memory(work: Path, rounds: int, seconds: float) -> list[Result]:
    """Growth of the gateway's resident memory under load, after it has settled; the slope of a
    line through its samples. ``MEMORY_S`` seconds; the goal is meant for 600."""
    upstream = free_port()
    command = upstream_command(upstream)
    with running(command, CLIENT_CORE, {}, work / "upstream.log") as process:
        listening(upstream, process, 20)
        with perennial(work, provided(upstream), {}) as gateway:
            shoot(gateway, SETTLE_S)
            samples = _sampled(gateway)
    growth = slope(samples) * 60 / 2**20
    seconds, held = samples[-1]
    note = f"over {seconds:.0f} s, {held / 2**20:.0f} MiB at the end"
    return [alone("memory: growth under load", [growth], "MiB/min", "<= 1", note)]


def crowd(work: Path, rounds: int, seconds: float) -> list[Result]:
    """A thousand streams at once, over an engine that counts: what each of them takes, and what
    stays when the same crowd has come again."""
    port, samples, wrong = free_port(), [], []
    paced = (str(port), str(FRAMES), str(PAUSE_S))
    command = (sys.executable, "-m", "tests.bench.serving.numbered", *paced)
    with running(command, CLIENT_CORE, {}, work / "numbered.log") as process:
        listening(port, process, 20)
        table = routing_table(ENGINE)
        table.serving.admission.concurrency = CROWD
        more = {"TRITON__ADDRESS": f"127.0.0.1:{port}", "MAX_REQUESTS": str(CROWD)}
        with perennial(work, table, more) as gateway:
            idle = resident(gateway.pid)
            for _ in range(CROWD_GOES):
                told = streamed("gateway", gateway.rpc_address, CROWD, 0, text(FRAMES), 64)
                wrong.append(float(told["wrong"] + told["failed"]))
                samples.append(resident(gateway.pid))
                print(f"  {CROWD} streams: {samples[-1] / MIB:.0f} MiB after; {told}", flush=True)
    note = f"{idle / MIB:.0f} MiB idle, then {', '.join(f'{each / MIB:.0f}' for each in samples)}"
    grown = (samples[-1] - samples[0]) / (CROWD_GOES - 1) / MIB
    return [
        alone(f"memory: {CROWD} streams, wrong or failed", [max(wrong)], "answers", "<= 0"),
        alone(
            f"memory: {CROWD} streams, over idle",
            [(samples[-1] - idle) / MIB],
            "MiB",
            "<= 200",
            note,
        ),
        alone(f"memory: {CROWD} streams, growth by coming again", [grown], "MiB", "<= 10", note),
    ]


def engine_memory(work: Path, rounds: int, seconds: float) -> list[Result]:
    """Of Triton and its model processes, once the cache has been touched."""
    if not is_possible():
        return [impossible(ENGINE_GROWTH, "<= 10", MISSING)]
    with triton(work, cache_size_gb=CACHE_GB) as real:
        samples = _by_answers(real)
    half = [each for each in samples if each[0] >= ANSWERS / 2]
    growth = slope(half) * 1000 / MIB
    first, last = samples[0], samples[-1]
    note = (
        f"{first[1] / MIB:.0f} MiB loaded, {half[0][1] / MIB:.0f} after {half[0][0]:.0f} answers, "
    )
    note += f"{last[1] / MIB:.0f} after {last[0]:.0f}"
    return [alone(ENGINE_GROWTH, [growth], "MiB", "<= 10", note)]


def _by_answers(real: RealTriton) -> list[tuple[float, float]]:
    samples = [(0.0, resident(real.pid))]
    while samples[-1][0] < ANSWERS:
        told = streamed("direct", real.address, 8, GO_S, tokens=SHORT)
        if not told["answers"]:
            raise RuntimeError(told["failure"])
        samples.append((samples[-1][0] + told["answers"], resident(real.pid)))
        print(f"  {samples[-1][0]:.0f} answers: {samples[-1][1] / MIB:.0f} MiB", flush=True)
    return samples


def resident(pid: int) -> float:
    """Bytes of a process and its children."""
    process = psutil.Process(pid)
    parts = (process, *process.children(recursive=True))
    return float(sum(part.memory_info().rss for part in parts))


def _sampled(gateway: Gateway) -> list[tuple[float, float]]:
    process = psutil.Process(gateway.pid)
    samples: list[tuple[float, float]] = []
    begun = time.monotonic()
    while (at := time.monotonic() - begun) < MEMORY_S:
        samples.append((at, float(process.memory_info().rss)))
        shoot(gateway, 5.0)
    samples.append((time.monotonic() - begun, float(process.memory_info().rss)))
    return samples


def slope(samples: list[tuple[float, float]]) -> float:
    """Of the least-squares line, bytes a second."""
    middle_x = sum(x for x, _ in samples) / len(samples)
    middle_y = sum(y for _, y in samples) / len(samples)
    over = sum((x - middle_x) * (y - middle_y) for x, y in samples)
    under = sum((x - middle_x) ** 2 for x, _ in samples)
    return over / under if under else 0.0
