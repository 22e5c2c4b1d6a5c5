"""A real Triton with the base model as an engine's file, started once for these tests."""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import grpc
import pytest
from tritonclient.grpc import InferenceServerClient, InferenceServerException

from infra.local.home import REPO, Home, credentials
from infra.local.ports import Ports
from infra.local.triton import VENV, is_installed, models
from infra.local.triton import triton as triton_process
from libs.artifacts.store import sha256_of_file
from libs.faults import Poison
from protos.common.v1.common_pb2 import Artifact
from services.inference.domain.release import Engine, File

BASE_MODEL = REPO / ".build" / "base-model"
READY_S = 180.0


@dataclass(frozen=True, slots=True)
class RealTriton:
    address: str
    token: str
    model_repository: Path
    process: "subprocess.Popen[bytes]"


@pytest.fixture(scope="session")
def real_triton(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealTriton]:
    if not is_installed():
        pytest.skip("the Triton wheel is not installed: `make setup` does it")
    home = Home.of(tmp_path_factory.mktemp("triton"))
    home.make()
    keys = credentials(home)
    part = triton_process(home, Ports.of(home), keys)
    part.prepare()
    environment = {**os.environ, **part.environment}
    with home.log("triton").open("wb") as log:
        process = subprocess.Popen(
            part.command, env=environment, stdout=log, stderr=log, start_new_session=True
        )
    try:
        _await_ready(part.addresses["triton"], process, home)
        yield RealTriton(
            part.addresses["triton"], keys.triton_repository_token, models(home), process
        )
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


@dataclass(frozen=True, slots=True)
class FolderStore:
    """An artifact store of files that are left where they are: engines are large."""

    files: dict[str, Path] = field(default_factory=dict)

    def put(self, data: bytes, media_type: str) -> Artifact:
        raise NotImplementedError

    def put_file(self, path: Path, media_type: str) -> Artifact:
        sha256 = sha256_of_file(path)
        self.files[sha256] = path
        return Artifact(sha256=sha256, size_bytes=path.stat().st_size, media_type=media_type)

    def get(self, artifact: Artifact, max_bytes: int) -> bytes:
        raise NotImplementedError

    def get_file(self, artifact: Artifact, path: Path) -> None:
        if artifact.sha256 not in self.files:
            raise Poison("no such file", code="artifact_missing")
        shutil.copyfile(self.files[artifact.sha256], path)


@pytest.fixture(scope="session")
def store() -> FolderStore:
    return FolderStore()


@pytest.fixture(scope="session")
def engine(store: FolderStore, tmp_path_factory: pytest.TempPathFactory) -> Engine:
    """The base model as a GGUF, in the artifact store."""
    if not (BASE_MODEL / "model.safetensors").exists():
        pytest.skip(f"there is no base model in {BASE_MODEL}: `make setup` makes it")
    out = tmp_path_factory.mktemp("engine") / "model.gguf"
    weights = BASE_MODEL / "model.safetensors"
    subprocess.run(
        [VENV / "bin" / "python", "-m", "services.trainer.adapters.gguf", BASE_MODEL, weights, out],
        check=True,
        cwd=REPO,
        timeout=300,
    )

    def stored(path: Path) -> File:
        found = store.put_file(path, "application/octet-stream")
        return File(found.uri, found.sha256, found.size_bytes, found.media_type)

    template = (BASE_MODEL / "chat_template.jinja").read_text()
    return Engine("ba5e" * 16, stored(out), stored(BASE_MODEL / "tokenizer.json"), template)
