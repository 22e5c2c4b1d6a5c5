"""A Triton of the bench's own with the base model as an engine."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import Final

from tritonclient.grpc import InferenceServerClient

from infra.local.home import REPO, Home, credentials
from infra.local.ports import Ports
from infra.local.triton import REPOSITORY_HEADER, VENV, is_installed, models
from infra.local.triton import triton as triton_process
from protos.common.v1.common_pb2 import Engine
from tests.bench.serving.processes import SERVER_CORE, listening, running

DIGEST: Final = "cafe" * 16
MODEL: Final = f"llm-{DIGEST[:16]}"
BASE: Final = REPO / ".build" / "base-model"
ENGINE: Final = Engine(digest=DIGEST, chat_template="{{ messages[0].content }}")
MISSING: Final = "no Triton or no base model: make setup"


@dataclass(frozen=True, slots=True)
class RealTriton:
    address: str
    token: str
    model_repository: Path
    gguf: Path
    pid: int


def is_possible() -> bool:
    return is_installed() and (BASE / "model.safetensors").exists()


@contextmanager
def triton(
    work: Path, cores: str = SERVER_CORE, cache_size_gb: float = 0.5, stamps: Path | None = None
) -> Iterator[RealTriton]:
    """It has the engine loaded.

    Args:
        stamps: the engine appends a line for each slot that it takes back from an answer without
            an end: the machine's monotonic time, the seconds of its last step, and the code.
    """
    home = Home.of(work / "triton-home")
    home.make()
    keys = credentials(home)
    part = triton_process(home, Ports.of(home), keys)
    part.prepare()
    gguf = _converted(work)
    _place(models(home) / MODEL, gguf, cache_size_gb, stamps)
    environment = dict(part.environment)
    with running(part.command, cores, environment, work / "triton.log") as process:
        address = part.addresses["triton"]
        if not listening(int(address.rpartition(":")[2]), process, 120):
            raise RuntimeError((work / "triton.log").read_text()[-500:])
        token = keys.triton_repository_token
        with InferenceServerClient(address) as client:
            header = {f"triton-grpc-protocol-{REPOSITORY_HEADER}": token}
            client.load_model(MODEL, headers=header, client_timeout=120)
        yield RealTriton(address, token, models(home), gguf, process.pid)


def _converted(work: Path) -> Path:
    gguf = work / "model.gguf"
    python = str(VENV / "bin" / "python")
    convert = (python, "-m", "services.trainer.adapters.gguf")
    files = (str(BASE), str(BASE / "model.safetensors"), str(gguf))
    subprocess.run([*convert, *files], check=True, cwd=REPO, timeout=300)
    return gguf


def _place(target: Path, gguf: Path, cache_size_gb: float, stamps: Path | None) -> None:
    shutil.copytree(REPO / "infra" / "triton" / "llm", target)
    config = target / "config.pbtxt"
    values = {
        "name": MODEL,
        "gguf": str(gguf),
        "tokenizer": str(BASE / "tokenizer.json"),
        "cache_size_gb": str(cache_size_gb),
    }
    config.write_text(Template(config.read_text()).safe_substitute(values))
    if stamps is not None:
        served = target / "1" / "model.py"
        served.rename(served.with_name("served.py"))
        served.write_text(STAMPING.format(path=str(stamps)))


STAMPING: Final = """
import time
import served

class TritonPythonModel(served.TritonPythonModel):
    def _end_badly(self, request, message, code):
        super()._end_badly(request, message, code)
        with open({path!r}, "a") as file:
            file.write(f"{{time.monotonic()}} {{self._step_s}} {{code}}\\n")
"""
