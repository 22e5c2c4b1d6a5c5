"""A real Triton with the base model as an engine's file, started once for these tests."""

import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from infra.local.home import REPO, Home
from infra.local.triton import VENV
from libs.artifacts.store import sha256_of_file
from libs.faults import Poison
from protos.common.v1.common_pb2 import Artifact
from services.inference.domain.release import Engine, File
from tests.triton import RealTriton, serving

BASE_MODEL = REPO / ".build" / "base-model"


@pytest.fixture(scope="session")
def real_triton(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealTriton]:
    with serving(Home.of(tmp_path_factory.mktemp("triton"))) as triton:
        yield triton


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
