"""A real Triton of a test's own, started and stopped by it."""

import os
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import grpc
import pytest
from tritonclient.grpc import InferenceServerClient, InferenceServerException

from infra.local.home import Home, credentials
from infra.local.ports import Ports
from infra.local.triton import is_installed, models
from infra.local.triton import triton as triton_process

READY_S = 180.0


@dataclass(frozen=True, slots=True)
class RealTriton:
    address: str
    token: str
    model_repository: Path
    process: "subprocess.Popen[bytes]"


@contextmanager
def serving(home: Home, environment: Mapping[str, str] | None = None) -> Iterator[RealTriton]:
    """A Triton that is ready, over the model repository of ``home``; skips where there is none.

    Args:
        environment: beside what Triton needs; ``PATH`` is put behind Triton's own.
    """
    if not is_installed():
        pytest.skip("the Triton wheel is not installed: `make setup` does it")
    home.make()
    keys = credentials(home)
    with Ports.of(home) as ports:
        part = triton_process(home, ports, keys)
        part.prepare()
        given = dict(environment or {})
        whole = {**os.environ, **part.environment, **given}
        if "PATH" in given:
            whole["PATH"] = f"{part.environment.get('PATH', os.environ['PATH'])}:{given['PATH']}"
        with home.log("triton").open("wb") as log:
            process = subprocess.Popen(
                part.command, env=whole, stdout=log, stderr=log, start_new_session=True
            )
        address = part.addresses["triton"]
        try:
            _await_ready(address, process, home)
            yield RealTriton(address, keys.triton_repository_token, models(home), process)
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def _await_ready(address: str, process: "subprocess.Popen[bytes]", home: Home) -> None:
    deadline = time.monotonic() + READY_S
    with InferenceServerClient(address) as client:
        while time.monotonic() < deadline and process.poll() is None:
            try:
                if client.is_server_ready(client_timeout=2):
                    return
            except (InferenceServerException, grpc.RpcError):
                pass
            time.sleep(0.2)
    raise AssertionError(f"Triton is not ready: {home.log('triton').read_text()[-2000:]}")
