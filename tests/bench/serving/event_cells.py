"""What a durable event for each answer costs, with Kafka there and away."""

from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

from infra.local import stack
from libs.events.topics import ROUTING
from libs.kafka.confluent import KafkaSink
from libs.runtime.config import KafkaSettings
from tests.bench.serving.figures import Result, compared
from tests.bench.serving.gateways import perennial, provided, upstream_command
from tests.bench.serving.mock_cells import line, shoot
from tests.bench.serving.processes import CLIENT_CORE, free_port, listening, on_core, running

BARE: Final = "tests.bench.serving.bare"


def events(work: Path, rounds: int, seconds: float) -> list[Result]:
    """Kafka runs on the client's core, so that the gateway has its own as without it."""
    home = work / "stack"
    stack.up(home, only=("kafka", "topics"))
    try:
        brokers = {"KAFKA__BROKERS": stack.endpoints(home)["kafka"]}
        on_core(stack.status(home)["kafka"]["pid"], CLIENT_CORE)
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
