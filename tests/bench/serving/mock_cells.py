"""Gateways before an upstream that answers at once: what a gateway itself costs."""

from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

from tests.bench.serving.figures import Result, compared, impossible
from tests.bench.serving.gateways import (
    PEERS,
    Gateway,
    Missing,
    chat,
    perennial,
    provided,
    upstream_command,
)
from tests.bench.serving.processes import CLIENT_CORE, free_port, listening, running, told_by

CLIENTS: Final = 16
RATE_GOALS: Final = {"litellm": ">= 10", "portkey": ">= 2", "tensorzero": ">= 0.5", "libraries": ""}
ADDED_P99_GOALS: Final = {"litellm": "<= 0.1"}


def before_a_mock(work: Path, rounds: int, seconds: float) -> list[Result]:
    results: list[Result] = []
    upstream = free_port()
    with ExitStack() as stack:
        process = stack.enter_context(
            running(upstream_command(upstream), CLIENT_CORE, {}, work / "upstream.log")
        )
        listening(upstream, process, 20)
        gateways = {"perennial": stack.enter_context(perennial(work, provided(upstream), {}))}
        for name, start in PEERS.items():
            try:
                gateways[name] = stack.enter_context(start(work, upstream))  # type: ignore[arg-type]
            except Missing as missing:
                results.append(
                    impossible(f"mock: req/s over {name}", RATE_GOALS[name], str(missing))
                )
        found = _rounds(gateways, upstream, rounds, seconds)
    return results + [each for name in gateways if name in PEERS for each in _told(name, found)]


def _rounds(
    gateways: Mapping[str, Gateway], upstream: int, rounds: int, seconds: float
) -> dict[str, list[dict[str, Any]]]:
    """Every gateway in every round, after a warm-up, and the mock itself."""
    for gateway in gateways.values():
        shoot(gateway, 2.0)
    direct = Gateway("direct", upstream, "/v1/chat/completions", {}, chat("mock"), 0)
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in (*gateways, "direct")}
    for _ in range(rounds):
        for gateway in (*gateways.values(), direct):
            figures = shoot(gateway, seconds)
            found[gateway.name].append(figures)
            print(line(gateway.name, figures), flush=True)
    return found


def line(name: str, figures: Mapping[str, Any]) -> str:
    milliseconds = [f"{which[:3]} {1e3 * figures[which]:7.2f} ms" for which in ("p50_s", "p99_s")]
    errors = f"  {figures['errors']} errors: {figures['error'][:200]}" if figures["errors"] else ""
    return f"  {name:14} {figures['rate']:8.0f}/s  {'  '.join(milliseconds)}{errors}"


def shoot(
    gateway: Gateway, seconds: float, clients: int = CLIENTS, core: str = CLIENT_CORE
) -> dict[str, Any]:
    order = {
        "host": "127.0.0.1",
        "port": gateway.port,
        "path": gateway.path,
        "headers": dict(gateway.headers),
        "body": gateway.body,
        "clients": clients,
        "seconds": seconds,
    }
    return told_by("tests.bench.serving.load", order, core)


def _told(peer: str, found: Mapping[str, list[dict[str, Any]]]) -> list[Result]:
    ours, theirs = found["perennial"], found[peer]
    failures = sum(each["errors"] for each in ours)
    note = f"{failures} of our answers failed" if failures else ""
    results = [
        compared(
            f"mock: req/s over {peer}",
            [each["rate"] for each in ours],
            [each["rate"] for each in theirs],
            "1/s",
            RATE_GOALS[peer],
            note,
        )
    ]
    if peer in ADDED_P99_GOALS:
        results.append(
            compared(
                f"mock: added p99 over {peer}",
                _added(ours, found["direct"]),
                _added(theirs, found["direct"]),
                "s",
                ADDED_P99_GOALS[peer],
                note,
            )
        )
    return results


def _added(through: list[dict[str, Any]], direct: list[dict[str, Any]]) -> list[float]:
    return [a["p99_s"] - b["p99_s"] for a, b in zip(through, direct, strict=True)]
