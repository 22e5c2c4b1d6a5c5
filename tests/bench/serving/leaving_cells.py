"""Cancellation and deadlines before a real Triton: is the engine's slot back in time?"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any, Final

from tests.bench.serving.figures import Result, alone, impossible
from tests.bench.serving.gateways import APPLICATION, KEY, Gateway, perennial, routing_table
from tests.bench.serving.leaving import LONG
from tests.bench.serving.processes import BOTH_CORES, CLIENT_CORE, told_by
from tests.bench.serving.real_triton import ENGINE, MISSING, MODEL, RealTriton, is_possible, triton
from tests.bench.serving.streams import PROMPT

OTHERS: Final = (0, 7)
DEADLINES_S: Final = (0.5, 1.0, 2.0)
KILLS: Final = 3
GOAL: Final = "<= 0.1"
"""Seconds until the slot is back; share of a deadline that it may be missed by."""
WAYS: Final = {"grpc": "gRPC client gone", "http": "HTTP client gone", "kill": "kill -9"}
BODY: Final = {
    "model": APPLICATION,
    "messages": [{"role": "user", "content": PROMPT}],
    "max_tokens": LONG,
    "stream": True,
}


def leaving(work: Path, rounds: int, seconds: float) -> list[Result]:
    """The worst of all times counts."""
    if not is_possible():
        return [impossible("leaving: slot back", GOAL, MISSING)]
    stamps = work / "stamps"
    with triton(work, cores=BOTH_CORES, stamps=stamps) as real:
        bench = _Bench(work, real, stamps)
        return [*bench.left(2 * rounds), *bench.killed(), *bench.expired(rounds)]


@dataclass(frozen=True, slots=True)
class _Bench:
    work: Path
    real: RealTriton
    stamps: Path

    def left(self, times: int) -> list[Result]:
        ways = [(how, others) for others in OTHERS for how in ("grpc", "http")]
        with self._gateway() as gateway:
            return [_freed(*way, self._told(gateway, *way, times)) for way in ways]

    def killed(self) -> list[Result]:
        results = []
        for others in OTHERS:
            all_told: dict[str, list[float]] = {"freed_s": [], "step_s": []}
            for _ in range(KILLS):
                with self._gateway() as gateway:
                    told = self._told(gateway, "kill", others, 1)
                for name, rows in all_told.items():
                    rows += told[name]
            results.append(_freed("kill", others, all_told))
        return results

    def expired(self, times: int) -> list[Result]:
        """In the middle of an answer, and in the queue."""
        results = []
        with self._gateway() as gateway:
            for deadline_s in DEADLINES_S:
                told = self._told(gateway, "deadline", OTHERS[-1], times, deadline_s)
                late = max(freed_s - deadline_s for freed_s in told["freed_s"])
                name = f"deadline {deadline_s:g} s"
                results.append(_kept(f"{name}, answering", told["told_s"], deadline_s))
                results.append(alone(f"{name}: slot back, late by", [max(late, 0.0)], "s", GOAL))
        with self._gateway(concurrency=1) as gateway:
            for deadline_s in DEADLINES_S:
                told = self._told(gateway, "queued", 0, times, deadline_s)
                results.append(
                    _kept(f"deadline {deadline_s:g} s, queued", told["told_s"], deadline_s)
                )
        return results

    @contextmanager
    def _gateway(self, concurrency: int = 256) -> Iterator[Gateway]:
        table = routing_table(ENGINE)
        table.routes[0].release.decoding.max_tokens = LONG
        table.serving.admission.concurrency = concurrency
        more = {"TRITON__ADDRESS": self.real.address}
        with perennial(self.work, table, more, core=CLIENT_CORE) as gateway:
            yield gateway

    def _told(
        self, gateway: Gateway, how: str, others: int, times: int, deadline_s: float = 0.0
    ) -> dict[str, Any]:
        order = {
            "how": how,
            "rpc": gateway.rpc_address,
            "http": f"127.0.0.1:{gateway.port}",
            "path": gateway.path,
            "body": json.dumps(BODY),
            "key": KEY,
            "triton": self.real.address,
            "model": MODEL,
            "stamps": str(self.stamps),
            "others": others,
            "times": times,
            "pid": gateway.pid,
            "deadline_s": deadline_s,
        }
        told = told_by("tests.bench.serving.leaving", order)
        shown = {name: [round(1e3 * each) for each in rows] for name, rows in told.items()}
        print(f"  {how} {deadline_s:g} s, {others} others: ms {shown}", flush=True)
        return told


def _freed(how: str, others: int, told: dict[str, list[float]]) -> Result:
    freed_s, step_s = told["freed_s"], told["step_s"]
    name = f"leaving: slot back after {WAYS[how]}, {others + 1} streams"
    note = f"worst of {len(freed_s)}, median {1e3 * median(freed_s):.0f} ms; "
    note += f"a step took {1e3 * median(step_s):.0f} ms, at most {1e3 * max(step_s):.0f}"
    return alone(name, [max(freed_s)], "s", GOAL, note)


def _kept(name: str, told_s: list[float], deadline_s: float) -> Result:
    off = max(abs(each - deadline_s) / deadline_s for each in told_s)
    return alone(f"{name}: off by", [off], "of it", GOAL, f"worst of {len(told_s)}")
