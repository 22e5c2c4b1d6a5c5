"""One process of the gateway on a core, two on two: each with as many clients, which share its
core, and an upstream that answers at once."""

import os
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any, Final

import psutil

from tests.bench.serving.figures import Result, alone, compared
from tests.bench.serving.gateways import Gateway, perennial, provided, upstream_command
from tests.bench.serving.mock_cells import line, shoot
from tests.bench.serving.processes import BOTH_CORES, free_port, listening, on_core, running

CLIENTS: Final = 96
"""On each core. Clients wait for the core they share with a process: few would leave both
processes without a question now and then."""
START_S: Final = 60.0


@dataclass(frozen=True, slots=True)
class Side:
    gateway: Gateway
    upstream: int
    cores: list[str]


def workers(work: Path, rounds: int, seconds: float) -> list[Result]:
    first, *_ = BOTH_CORES.split(",")
    with ExitStack() as stack:
        sides = {
            name: stack.enter_context(_side(work / name, cores.split(",")))
            for name, cores in (("one", first), ("two", BOTH_CORES))
        }
        for side in sides.values():
            _measured(side, 2.0)
        found: dict[str, list[dict[str, Any]]] = {name: [] for name in sides}
        for _ in range(rounds):
            for name, side in sides.items():
                found[name].append(_measured(side, seconds))
                print(line(name, found[name][-1]), flush=True)
    return _told(found)


@contextmanager
def _side(work: Path, cores: list[str]) -> Iterator[Side]:
    """A gateway with a process on each of ``cores``."""
    upstream, both = free_port(), ",".join(cores)
    with ExitStack() as stack:
        command = upstream_command(upstream)
        mock = stack.enter_context(running(command, both, {}, work / "upstream.log"))
        listening(upstream, mock, 20)
        more = {"WORKERS": str(len(cores)), "OPS__PORT": str(free_port())}
        gateway = stack.enter_context(perennial(work, provided(upstream), more, both))
        for process, core in zip(_joined(gateway, len(cores)), cores, strict=True):
            on_core(process.pid, core)
        yield Side(gateway, mock.pid, cores)


def _joined(gateway: Gateway, count: int) -> list[psutil.Process]:
    """The processes that listen at the gateway's port, the first one first."""
    end = time.monotonic() + START_S
    while time.monotonic() < end:
        here = [each for each in _family(gateway.pid) if _listens(each, gateway.port)]
        if len(here) == count:
            return here
        time.sleep(0.2)
    raise RuntimeError(f"{count} processes do not listen")


def _listens(process: psutil.Process, port: int) -> bool:
    found = process.net_connections("tcp")
    return any(each.status == psutil.CONN_LISTEN and each.laddr.port == port for each in found)


def _family(pid: int) -> list[psutil.Process]:
    process = psutil.Process(pid)
    return [process, *process.children(recursive=True)]


def _processor_s(pid: int) -> float:
    return sum(sum(each.cpu_times()[:2]) for each in _family(pid))


def _measured(side: Side, seconds: float) -> dict[str, Any]:
    """A round's figures, clients on each core, with the gateway's processor seconds, the share
    that clients and upstream had of all, and how many cores there were for them."""
    ours, mock, own = _processor_s(side.gateway.pid), _processor_s(side.upstream), os.times()
    begun = time.perf_counter()
    with ThreadPoolExecutor() as pool:
        told = list(pool.map(lambda core: shoot(side.gateway, seconds, CLIENTS, core), side.cores))
    taken, after = time.perf_counter() - begun, os.times()
    ours, mock = _processor_s(side.gateway.pid) - ours, _processor_s(side.upstream) - mock
    bench = mock + sum(after[2:4]) - sum(own[2:4])
    return {
        **told[0],
        "rate": sum(each["rate"] for each in told),
        "errors": sum(each["errors"] for each in told),
        "p50_s": median(_all(told, "p50_s")),
        "p99_s": max(_all(told, "p99_s")),
        "per_cpu_s": sum(each["n"] for each in told) / ours,
        "bench_share": bench / (ours + bench),
        "cores": (ours + bench) / taken,
    }


def _told(found: Mapping[str, list[dict[str, Any]]]) -> list[Result]:
    one, two = found["one"], found["two"]
    failures = sum(each["errors"] for each in (*one, *two))
    share, cores = median(_all(two, "bench_share")), median(_all(two, "cores"))
    note = (
        f"{failures} failed; clients and upstream took {share:.0%} of the processor time; "
        f"there were {median(_all(one, 'cores')):.2f} cores for one, {cores:.2f} for two"
    )
    rates, costs = (
        "workers: req/s, two over one",
        "workers: answers a processor second, two over one",
    )
    return [
        compared(rates, _all(two, "rate"), _all(one, "rate"), "1/s", ">= 1.7", note),
        compared(costs, _all(two, "per_cpu_s"), _all(one, "per_cpu_s"), "1/s", ">= 0.85", note),
        alone("workers: p99 of two", _all(two, "p99_s"), "s", ""),
    ]


def _all(rounds: list[dict[str, Any]], key: str) -> list[float]:
    return [each[key] for each in rounds]
