"""Triton Inference Server from its wheel, on CPU, with our models in the python backend."""

import shutil
from functools import partial
from pathlib import Path
from string import Template
from typing import Final

from infra.local.home import REPO, Credentials, Home
from infra.local.ports import Ports
from infra.local.process import Probe, Process

VENV: Final = REPO / ".venv-model"
TEMPLATES: Final = REPO / "infra" / "triton"
EMBEDDING: Final = "embedding"
ALLOCATOR: Final = {"MALLOC_ARENA_MAX": "2"}
"""An engine's threads each keep freed memory of their own otherwise: 120 MiB more."""
REPOSITORY_HEADER: Final = "perennial-repository"
"""gRPC clients of the model-repository API send ``triton-grpc-protocol-<this>: <token>``."""


def is_installed() -> bool:
    return _server() is not None


def models(home: Home) -> Path:
    return home.path / "triton" / "models"


def triton(home: Home, ports: Ports, keys: Credentials) -> Process:
    server = _server()
    assert server is not None
    address = f"127.0.0.1:{ports('triton', 8001)}"
    metrics = f"127.0.0.1:{ports('triton.metrics', 8002)}"
    backends = home.path / "triton" / "backends"
    guard = f"model-repository:{REPOSITORY_HEADER}={keys.triton_repository_token}"
    return Process(
        name="triton",
        command=(
            str(server / "bin" / "tritonserver"),
            *(f"--model-repository={models(home)}", f"--backend-directory={backends}"),
            f"--cache-directory={server / 'caches'}",
            *("--allow-http=false", "--grpc-address=127.0.0.1"),
            *(f"--grpc-port={address.rpartition(':')[2]}", "--metrics-address=127.0.0.1"),
            f"--metrics-port={metrics.rpartition(':')[2]}",
            f"--grpc-restricted-protocol={guard}",
            *("--model-control-mode=explicit", "--disable-auto-complete-config"),
            *((f"--load-model={EMBEDDING}",) if _has_embedding() else ()),
            *("--exit-timeout-secs=10", "--log-format=ISO8601"),
        ),
        environment=_environment(),
        probe=Probe("grpc", address),
        addresses={"triton": address, "triton.metrics": metrics},
        prepare=partial(_lay_out, home, server, backends),
        ready_within_s=120,
        stop_within_s=15,
    )


def _server() -> Path | None:
    return next(VENV.glob("lib/python*/site-packages/pytriton/tritonserver"), None)


def _has_embedding() -> bool:
    return (TEMPLATES / EMBEDDING / "config.pbtxt").exists() and (
        REPO / ".build" / EMBEDDING
    ).exists()


def _environment() -> dict[str, str]:
    """The models' interpreter is found by ``PATH``; its libpython must be the one the
    environment was made from, else extension modules miss symbols."""
    environment = {"PATH": f"{VENV / 'bin'}:/usr/local/bin:/usr/bin:/bin", **ALLOCATOR}
    lines = (VENV / "pyvenv.cfg").read_text().splitlines()
    made_from = next(line.partition("=")[2].strip() for line in lines if line.startswith("home"))
    libraries = Path(made_from).parent / "lib"
    if any(libraries.glob("libpython3.*.so*")):
        environment["LD_LIBRARY_PATH"] = str(libraries)
    return environment


def _lay_out(home: Home, server: Path, backends: Path) -> None:
    """The backend directory (symlinks) and the models that are always there."""
    python = backends / "python"
    python.mkdir(parents=True, exist_ok=True)
    version = next(VENV.glob("lib/python3.*")).name.removeprefix("python")
    backend = server / "backends" / "python"
    stub = server / "python_backend_stubs" / version / "triton_python_backend_stub"
    sources = (
        backend / "libtriton_python.so",
        backend / "triton_python_backend_utils.py",
        stub,
    )
    for source in sources:
        link = python / source.name
        link.unlink(missing_ok=True)
        link.symlink_to(source)
    models(home).mkdir(parents=True, exist_ok=True)
    if _has_embedding():
        target = models(home) / EMBEDDING
        shutil.copytree(TEMPLATES / EMBEDDING, target, dirs_exist_ok=True)
        configuration = Template((target / "config.pbtxt").read_text())
        filled = configuration.safe_substitute(EMBEDDING_DIR=REPO / ".build" / EMBEDDING)
        (target / "config.pbtxt").write_text(filled)
