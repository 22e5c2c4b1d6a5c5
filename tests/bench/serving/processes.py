"""Processes of the benchmark: on one core each, ended whatever happens."""

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import psutil

from infra.local.home import REPO

SERVER_CORE: Final = "0"
CLIENT_CORE: Final = "1"
BOTH_CORES: Final = "0,1"
BENCH: Final = REPO / ".perennial" / "bench"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def running(
    command: Sequence[str], core: str, environment: Mapping[str, str], log: Path
) -> Iterator["subprocess.Popen[bytes]"]:
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as out:
        process = subprocess.Popen(
            ["taskset", "-c", core, *command],
            cwd=REPO,
            env={"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/"), **environment},
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            start_new_session=True,
        )
    keep_nice(process.pid)
    try:
        yield process
    finally:
        for number in (signal.SIGTERM, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(8)


def keep_nice(pid: int) -> None:
    """The kernel weighs sessions before it looks at niceness: give this one's to its session."""
    with contextlib.suppress(OSError):
        Path(f"/proc/{pid}/autogroup").write_text(str(os.nice(0)))


def on_core(pid: int, core: str) -> None:
    """Move a process and its children."""
    process = psutil.Process(pid)
    for part in (process, *process.children(recursive=True)):
        move = ["taskset", "-apc", core, str(part.pid)]
        subprocess.run(move, check=True, capture_output=True)


def listening(port: int, process: "subprocess.Popen[bytes]", within_s: float) -> bool:
    end = time.monotonic() + within_s
    while time.monotonic() < end and process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 0.5):
            return True
        time.sleep(0.2)
    return False


def ask(port: int, path: str, headers: Mapping[str, str], body: str) -> tuple[int, str]:
    """One request: its status and body; 0 when nobody answered."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        connection.request("POST", path, body, {"content-type": "application/json", **headers})
        answer = connection.getresponse()
        return answer.status, answer.read().decode(errors="replace")
    except (OSError, http.client.HTTPException) as error:
        return 0, repr(error)
    finally:
        connection.close()


def told_by(module: str, order: Mapping[str, Any], core: str = CLIENT_CORE) -> dict[str, Any]:
    """Run a client module on its core with an order, and read its figures."""
    done = subprocess.run(
        ["taskset", "-c", core, sys.executable, "-m", module],
        input=json.dumps(order).encode(),
        stdout=subprocess.PIPE,
        cwd=REPO,
        check=True,
        timeout=order.get("seconds", 60) + 120,
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found
