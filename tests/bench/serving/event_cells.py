"""What a durable event for each answer costs, with Kafka there and away; and memory under load."""

import os
import subprocess
import time
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

import psutil

from infra.local import stack
from libs.events.topics import ROUTING
from libs.kafka.confluent import KafkaSink
from libs.runtime.config import KafkaSettings
from tests.bench.serving.figures import Result, alone, compared
from tests.bench.serving.gateways import Gateway, perennial, provided, upstream_command
from tests.bench.serving.mock_cells import line, shoot
from tests.bench.serving.processes import CLIENT_CORE, free_port, listening, running

BARE: Final = "tests.bench.serving.bare"
MEMORY_S: Final = float(os.environ.get("MEMORY_S", "60"))
SETTLE_S: Final = 15.0


def events(work: Path, rounds: int, seconds: float) -> list[Result]:
    """Kafka runs on the client's core, so that the gateway has its own as without it."""
    home = work / "stack"
    stack.up(home, only=("kafka", "topics"))
    try:
        brokers = {"KAFKA__BROKERS": stack.endpoints(home)["kafka"]}
        kafka = psutil.Process(stack.status(home)["kafka"]["pid"])
        for part in (kafka, *kafka.children(recursive=True)):
            move = ["taskset", "-apc", CLIENT_CORE, str(part.pid)]
            subprocess.run(move, check=True, capture_output=True)
        upstream = free_port()
        _announce(brokers["KAFKA__BROKERS"], upstream)
        found = _rounds(work, brokers, upstream, rounds, seconds)
    finally:
        stack.down(home)
    rates = {name: [each["rate"] for each in told] for name, told in found.items()}
    there, away, bare = rates["events"], rates["away"], rates["bare"]
    return [
        compared("events: req/s, with over without", there, bare, "1/s", ">= 0.7"),
        compared("events: req/s, Kafka away over there", away, there, "1/s", ">= 0.9"),
    ]


def _announce(brokers: str, upstream: int) -> None:
    """The routing table on its topic: where Kafka is there, the cached one is not the truth."""
    sink = KafkaSink(KafkaSettings(brokers=brokers))
    sink.send(ROUTING, provided(upstream))
    sink.flush()


def _rounds(
    work: Path, brokers: Mapping[str, str], upstream: int, rounds: int, seconds: float
) -> dict[str, list[dict[str, Any]]]:
    with ExitStack() as opened:
        command = upstream_command(upstream)
        process = opened.enter_context(running(command, CLIENT_CORE, {}, work / "upstream.log"))
        listening(upstream, process, 20)
        table = provided(upstream)
        gateways = {
            "events": opened.enter_context(perennial(work / "events", table, brokers)),
            "bare": opened.enter_context(perennial(work / "bare", table, brokers, module=BARE)),
            "away": opened.enter_context(perennial(work / "away", table, {})),
        }
        for gateway in gateways.values():
            shoot(gateway, 2.0)
        found: dict[str, list[dict[str, Any]]] = {name: [] for name in gateways}
        for _ in range(rounds):
            for name, gateway in gateways.items():
                found[name].append(shoot(gateway, seconds))
                print(line(name, found[name][-1]), flush=True)
    return found


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
