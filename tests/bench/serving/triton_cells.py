"""The gateway before a real Triton with the CPU engine, beside going there directly."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from tests.bench.serving.figures import Result, alone, compared, impossible
from tests.bench.serving.gateways import KEY, Gateway, perennial, routing_table
from tests.bench.serving.numbered import text
from tests.bench.serving.processes import CLIENT_CORE, free_port, listening, running, told_by
from tests.bench.serving.real_triton import ENGINE, MISSING, MODEL, is_possible, triton

STREAMS: Final = (1, 4, 8, 16)
MAX_TOKENS: Final = 24
MANY: Final = 200


def before_triton(work: Path, rounds: int, seconds: float) -> list[Result]:
    if not is_possible():
        return [impossible("triton: tokens/s", ">= 0.9", MISSING)]
    with triton(work) as real:
        more = {"TRITON__ADDRESS": real.address}
        with perennial(work, routing_table(ENGINE), more, core=CLIENT_CORE) as gateway:
            found = _rounds(real.address, gateway, rounds, seconds)
    return [each for number in STREAMS for each in _told(number, found[number])]


def frames(work: Path, rounds: int, seconds: float) -> list[Result]:
    """200 streams at once over an engine that counts: every frame, in order."""
    port, wrong, failed = free_port(), [], []
    command = (sys.executable, "-m", "tests.bench.serving.numbered", str(port))
    with running(command, CLIENT_CORE, {}, work / "numbered.log") as process:
        listening(port, process, 20)
        more = {"TRITON__ADDRESS": f"127.0.0.1:{port}"}
        with perennial(work, routing_table(ENGINE), more) as gateway:
            for _ in range(rounds):
                told = streamed("gateway", gateway.rpc_address, MANY, 0, text(), 64)
                wrong.append(float(told["wrong"]))
                failed.append(float(told["failed"]))
                print(f"  {MANY} streams: {told}", flush=True)
    return [
        alone("frames: wrong answers of 200 streams", [max(wrong)], "answers", "<= 0"),
        alone("frames: failed answers of 200 streams", [max(failed)], "answers", "<= 0"),
    ]


def _rounds(
    address: str, gateway: Gateway, rounds: int, seconds: float
) -> dict[int, dict[str, list[dict[str, Any]]]]:
    found: dict[int, dict[str, list[dict[str, Any]]]] = {}
    for number in STREAMS:
        found[number] = {"direct": [], "gateway": []}
        streamed("direct", address, number, 1.0)
        for _ in range(rounds):
            for kind, where in (("direct", address), ("gateway", gateway.rpc_address)):
                told = streamed(kind, where, number, seconds)
                found[number][kind].append(told)
                print(f"  {number:3} streams, {kind:8} {_line(told)}", flush=True)
    return found


def _told(number: int, found: Mapping[str, list[dict[str, Any]]]) -> list[Result]:
    ours, theirs = found["gateway"], found["direct"]
    failed = sum(each["failed"] for each in ours)
    note = f"{failed} failed: {next(e['failure'] for e in ours if e['failed'])}" if failed else ""
    return [
        compared(
            f"triton: tokens/s, {number} streams",
            [each["rate"] for each in ours],
            [each["rate"] for each in theirs],
            "1/s",
            ">= 0.9",
            note,
        ),
        compared(
            f"triton: first token p99, {number} streams",
            [each["first_p99_s"] for each in ours],
            [each["first_p99_s"] for each in theirs],
            "s",
            "<= 1.15",
            note,
        ),
    ]


def _line(told: Mapping[str, Any]) -> str:
    first = f"first p50 {1e3 * told['first_p50_s']:.0f} ms p99 {1e3 * told['first_p99_s']:.0f} ms"
    return f"{told['rate']:7.1f} tokens/s  {first}  {told['failed']} failed {told['failure']}"


def streamed(
    kind: str,
    address: str,
    number: int,
    seconds: float,
    expected: str = "",
    tokens: int = MAX_TOKENS,
) -> dict[str, Any]:
    order = {
        "kind": kind,
        "address": address,
        "model": MODEL,
        "key": KEY,
        "streams": number,
        "seconds": seconds,
        "max_tokens": tokens,
        "expected": expected,
    }
    return told_by("tests.bench.serving.streams", order)
