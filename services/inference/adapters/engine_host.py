"""Engines in the Triton beside this process: files, model directory, load and unload."""

import asyncio
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from string import Template
from typing import Any, Final

import grpc
import structlog
from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2, service_pb2_grpc
from tritonclient.grpc import service_pb2 as kserve

from libs.artifacts.store import ArtifactStore, sha256_of_file
from libs.faults import Poison, Retryable
from services.inference.adapters import gpu_model
from services.inference.adapters.room import Room
from services.inference.domain.gpu import Gpus
from services.inference.domain.release import TENSORRT_LLM, Engine, File, model_name
from services.inference.wire.events import artifact

log = structlog.get_logger()

REPOSITORY_HEADER: Final = "triton-grpc-protocol-perennial-repository"
"""Triton runs with --grpc-restricted-protocol=model-repository:perennial-repository=TOKEN."""
MODELS: Final = model_name("")
"""How the names of engines begin in Triton; whatever else it serves is not ours."""
REUSE: Final = "prefix_reuse"
"""The model's parameter, "true" or "false"."""
KEPT: Final = "1/kept"
"""Of a model's directory, what it made for its next load."""
AWAY: Final = frozenset({grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED})


@dataclass(frozen=True, slots=True)
class TritonHost:
    """``templates`` holds config.pbtxt and 1/model.py; ``cache`` the engines' files; ``gpus`` is
    None where Triton has no TensorRT-LLM.

    Hosts of several Tritons share one model repository, one cache, and so one ``files`` lock.
    """

    channel: grpc.aio.Channel
    token: str
    store: ArtifactStore
    templates: Path
    model_repository: Path
    cache: Path
    cache_size_gb: float
    timeout_s: float
    room: Room
    reach_s: float = 10.0
    """For Triton to listen: what it loads is laid out when it does."""
    gpus: Gpus | None = None
    keep_engines: int = 4
    files: asyncio.Lock = field(default_factory=asyncio.Lock)
    _reuse: dict[str, bool] = field(default_factory=dict)

    def suits(self, digest: str, *, reuse: bool) -> bool:
        if digest not in self._reuse:  # a process before this one loaded it
            self._reuse[digest] = _reuses(self.model_repository / model_name(digest))
        return self._reuse[digest] == reuse

    async def load(self, engine: Engine, *, reuse: bool = False) -> None:
        await self._reach()
        async with self.room.taken(engine):
            try:
                async with self.files:
                    await asyncio.to_thread(self._place, engine, reuse)
            except OSError as error:  # a full disc: it is told, and not fetched every 2 s
                raise Poison(f"{engine.model_name}: {error}", code="disk") from error
            stub: Any = service_pb2_grpc.GRPCInferenceServiceStub(self.channel)
            request = kserve.RepositoryModelLoadRequest(model_name=engine.model_name)
            await self._control(stub.RepositoryModelLoad, request)
        self._reuse[engine.digest] = reuse
        log.info("engine.placed", model=engine.model_name)

    async def unload(self, digest: str) -> None:
        stub: Any = service_pb2_grpc.GRPCInferenceServiceStub(self.channel)
        request = kserve.RepositoryModelUnloadRequest(model_name=model_name(digest))
        await self._control(stub.RepositoryModelUnload, request)
        self._reuse.pop(digest, None)
        await asyncio.to_thread(self._clear, digest)

    async def present(self) -> frozenset[str]:
        stub: Any = service_pb2_grpc.GRPCInferenceServiceStub(self.channel)
        request = kserve.RepositoryIndexRequest(ready=True)
        index = await self._control(stub.RepositoryIndex, request)
        placed = await asyncio.to_thread(lambda: [*self.model_repository.glob(f"{MODELS}*")])
        names = [model.name for model in index.models] + [path.name for path in placed]
        return frozenset(name.removeprefix(MODELS) for name in names if name.startswith(MODELS))

    async def _reach(self) -> None:
        """The channel finds out within a second that Triton is there again."""
        try:
            await asyncio.wait_for(self.channel.channel_ready(), self.reach_s)
        except TimeoutError as error:
            raise Retryable("triton does not listen") from error

    async def _control(self, call: Any, request: Any) -> Any:
        metadata = ((REPOSITORY_HEADER, self.token),)
        try:
            return await call(request, timeout=self.timeout_s, metadata=metadata)
        except grpc.aio.AioRpcError as error:
            details = (error.details() or "")[:500]
            if error.code() in AWAY and "restricted" not in details:
                raise Retryable(f"triton: {details}") from error
            raise Poison(f"triton: {details}", code="engine_refused") from error

    def _place(self, engine: Engine, reuse: bool) -> None:
        """Fetch the files and write the model directory, each whole or not at all."""
        if engine.runtime == TENSORRT_LLM:
            gpu_model.insist_on_gpus(self.gpus)
        home = self.cache / engine.digest[:16]
        home.mkdir(parents=True, exist_ok=True)
        self._fetch(engine.weights, home / _weights(engine))
        self._fetch(engine.tokenizer, home / "tokenizer.json")
        os.utime(home)
        self._write_model(engine, home, reuse)
        self._prune(spare=home)

    def _fetch(self, file: File, path: Path) -> None:
        if path.exists() and sha256_of_file(path) == file.sha256:
            return
        self.store.get_file(artifact(file), path)

    def _write_model(self, engine: Engine, home: Path, reuse: bool) -> None:
        target = self.model_repository / engine.model_name
        partial = self.model_repository / f".{engine.model_name}.part"
        shutil.rmtree(partial, ignore_errors=True)
        weights = (home / _weights(engine)).resolve()
        values = {
            "name": engine.model_name,
            "tokenizer": str((home / "tokenizer.json").resolve()),
            REUSE: str(reuse).lower(),
        }
        try:
            if engine.runtime == TENSORRT_LLM:
                gpu_model.place(weights, partial, self.gpus, values | {"adapters": ""})
            else:
                gguf = {"gguf": str(weights), "cache_size_gb": str(self.cache_size_gb)}
                self._copy_templates(partial, values | gguf)
            # Where Triton is another user, its interpreter would make one that we cannot remove.
            (partial / "1" / "__pycache__").mkdir(exist_ok=True)
            if (target / KEPT).exists():
                (target / KEPT).rename(partial / KEPT)
            if target.exists():
                shutil.rmtree(target)
            partial.rename(target)
        finally:
            shutil.rmtree(partial, ignore_errors=True)

    def _copy_templates(self, out: Path, values: Mapping[str, str]) -> None:
        shutil.copytree(self.templates, out, ignore=shutil.ignore_patterns("__pycache__"))
        config = out / "config.pbtxt"
        config.write_text(Template(config.read_text()).safe_substitute(values))

    def _clear(self, digest: str) -> None:
        shutil.rmtree(self.model_repository / model_name(digest), ignore_errors=True)

    def _prune(self, spare: Path) -> None:
        """Drop the oldest files of engines that no model directory uses."""
        used = {path.name.removeprefix("llm-") for path in self.model_repository.glob("llm-*")}
        idle = [p for p in self.cache.iterdir() if p != spare and p.name not in used]
        idle.sort(key=lambda path: path.stat().st_mtime, reverse=True)
        for path in idle[self.keep_engines :]:
            shutil.rmtree(path, ignore_errors=True)


def _weights(engine: Engine) -> str:
    return "engine.tar" if engine.runtime == TENSORRT_LLM else "model.gguf"


def _reuses(model: Path) -> bool:
    try:
        text = (model / "config.pbtxt").read_text()
        config = text_format.Parse(text, model_config_pb2.ModelConfig())
    except (OSError, text_format.ParseError):
        return False
    return bool(config.parameters[REUSE].string_value == "true")
