"""The builder of TensorRT-LLM engines, behind the port of every builder."""

import asyncio
import json
import os
import shlex
import shutil
import tarfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from libs.faults import Poison, Retryable
from libs.runtime.child import Exit, run_child
from services.trainer.adapters.described import chat_of
from services.trainer.adapters.process import patience
from services.trainer.adapters.tensorrt import commands
from services.trainer.adapters.tensorrt.commands import Command
from services.trainer.adapters.tensorrt.plan import Flow, Plan, Shape, misfits, objections
from services.trainer.adapters.tensorrt.repository import (
    engine_key,
    write_compiled,
    write_llmapi,
)
from services.trainer.domain.engine import NO_BUILDER, Target
from services.trainer.ports import Built, Source, Told

RUNTIME: Final = "tensorrt-llm"
MEDIA_TYPE: Final = "application/x-tar"
MODEL: Final = "model"
"""The one directory in the tar: a Triton model, its checkpoint or engine inside."""
COMMANDS: Final = "commands.sh"
NOT_FOUND: Final = 127
REMOVE_S: Final = 60.0
_ENVIRONMENT: Final = ("PATH", "HOME", "LD_LIBRARY_PATH", "CUDA_VISIBLE_DEVICES", "TMPDIR")
_INTO_THE_LOG: Final = ("sh", "-c", 'exec "$@" 1>&2', "sh")


@dataclass(frozen=True, slots=True)
class TensorRtLlmBuilder:
    """Builds on this host, which has the GPUs that it builds for.

    Args:
        plan: all but the precision, which an order names.
        image_digest: "sha256:…".
        templates: ``infra/triton``.
        calibration: local directory of the rows that quantization is fitted on; "" for none.
        inside: this process runs in the image; else docker takes each command there.
        timeout_s: of all commands of one build, before the attempt is given up.
    """

    plan: Plan
    image_digest: str
    templates: Path
    calibration: str
    inside: bool = False
    timeout_s: float = 1800.0

    @property
    def runtime(self) -> str:
        return RUNTIME

    @property
    def current_version(self) -> str:
        image = self.plan.image
        digest = self.image_digest.removeprefix("sha256:")[:12]
        return f"{image.tensorrt_llm} {self.plan.flow.value} {image.release}@{digest}"

    def target(self, precision: str) -> Target:
        plan = replace(self.plan, precision=precision)
        if found := objections(plan):
            raise Poison("; ".join(found), code=NO_BUILDER)
        if plan.how.quantizer and not self.calibration:
            told = f"{precision} is fitted on rows: PERENNIAL_TENSORRT__CALIBRATION names none"
            raise Poison(told, code=NO_BUILDER)
        ranks = f"x{plan.ranks}" if plan.ranks > 1 else ""
        return Target(RUNTIME, self.current_version, precision, plan.hardware + ranks)

    async def build(self, source: Source, target: Target, work: Path, told: Told) -> Built:
        plan = replace(self.plan, precision=target.precision)
        shape = read_shape(source.base_model / "config.json")
        if found := misfits(plan, shape):
            raise Poison("; ".join(found), code=NO_BUILDER)
        hugging_face = await asyncio.to_thread(_lay_out, source, work / "hugging-face")
        steps = _steps(plan, hugging_face, work, self.calibration)
        async with patience(self.timeout_s, "the build"):
            for number, (name, command) in enumerate(steps):
                told(name, number / len(steps))
                await self._step(name, command, work, source.build_id)
        told("packing", 0.0)
        tar = await asyncio.to_thread(self._pack, plan, steps, source, work)
        chat = chat_of(source.base_model)
        return Built(tar, MEDIA_TYPE, source.base_model / "tokenizer.json", chat)

    async def run(self, command: Command, work: Path, reads: Sequence[Path], build_id: str) -> Exit:
        """A command of the image in ``work``; it may read ``reads``. A build has one at a time."""
        if self.inside:
            return await _logged(command, work)
        name, image = f"perennial-{build_id}", self.plan.image.pinned(self.image_digest)
        inside = commands.in_image(image, name, work, command, reads)
        await _remove(name)  # a killed trainer leaves its container running
        try:
            return await _logged(inside, work)
        finally:
            await _remove(name)  # a command that was given up has not removed its own

    async def _step(self, name: str, command: Command, work: Path, build_id: str) -> None:
        reads = (Path(self.calibration),) if self.calibration else ()
        ended = await self.run(command, work, reads, build_id)
        if ended.status == NOT_FOUND:
            raise Poison(f"{name}: {command[0]} is not on this host", code=NO_BUILDER)
        if ended.status < 0:
            raise Retryable(f"{name} died of signal {-ended.status}")
        if ended.status:
            raise Poison(f"{name} failed: {ended.stderr_tail[-500:]}", code="crashed")

    def _pack(
        self, plan: Plan, steps: list[tuple[str, Command]], source: Source, work: Path
    ) -> Path:
        out = work / MODEL
        told = [shlex.join(command) for _, command in steps]
        key = engine_key(plan, self.image_digest, {"commands": told})
        if plan.flow is Flow.COMPILED:
            write_compiled(plan, self.templates, "${engine_dir}", out)
            (out / "engine_key.json").write_text(json.dumps(key, indent=1, sort_keys=True))
            shutil.copy(self.templates / "tensorrt_llm" / "1" / "engine_key.py", out)
            (work / "engine").rename(out / "engine")
            told += [shlex.join(c) for c in commands.stock_models(plan, Path(), Path("tokenizer"))]
        else:
            write_llmapi(plan, self.templates, "checkpoint", key, out)
            made = work / "checkpoint"
            (made if made.exists() else work / "hugging-face").rename(out / "checkpoint")
        told.append(shlex.join(commands.serve(plan, Path("."), (8000, 8001, 8002))))
        (out / COMMANDS).write_text("\n".join(told) + "\n")
        return _tar(out, work / "engine.tar")


async def _logged(command: Command, work: Path) -> Exit:
    with (work / "commands.log").open("a") as log:
        log.write(shlex.join(command) + "\n")
    return await run_child(
        (*_INTO_THE_LOG, *command), cwd=work, env=_environment(), on_line=lambda _: None
    )


async def _remove(name: str) -> None:
    """The container, if there is one; nothing where there is no docker."""
    with suppress(OSError, TimeoutError):
        removing = await asyncio.create_subprocess_exec(
            *commands.remove(name),
            env=_environment(),
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )
        await asyncio.wait_for(removing.wait(), REMOVE_S)


def _environment() -> dict[str, str]:
    known = {key: os.environ[key] for key in _ENVIRONMENT if key in os.environ}
    return known | {"HF_HUB_OFFLINE": "1"}


def read_shape(config: Path) -> Shape:
    """Raises Poison ``bad_request``: not the config.json of a language model."""
    try:
        told: Mapping[str, Any] = json.loads(config.read_text())
        heads = int(told["num_attention_heads"])
        return Shape(
            architecture=str(told["architectures"][0]),
            layers=int(told["num_hidden_layers"]),
            heads=heads,
            key_value_heads=int(told.get("num_key_value_heads") or heads),
            widths=(int(told["hidden_size"]), int(told["intermediate_size"])),
        )
    except (OSError, ValueError, KeyError, IndexError, TypeError) as error:
        raise Poison(f"{config}: {error!r}", code="bad_request") from error


def _steps(plan: Plan, model: Path, work: Path, calibration: str) -> list[tuple[str, Command]]:
    checkpoint = commands.checkpoint(plan, model, work / "checkpoint", calibration)
    steps = [] if checkpoint is None else [("checkpoint", checkpoint)]
    if plan.flow is Flow.COMPILED:
        steps.append(
            ("engine", commands.compile_engine(plan, work / "checkpoint", work / "engine"))
        )
    return steps


def _lay_out(source: Source, out: Path) -> Path:
    """The model as transformers' directory: the base's descriptions, the trained weights."""
    out.mkdir()
    for path in sorted(source.base_model.iterdir()):
        if path.suffix in (".json", ".jinja") and not path.name.endswith(".index.json"):
            shutil.copy(path, out)
    shutil.copy(source.weights, out / "model.safetensors")
    return out


def _tar(directory: Path, tar: Path) -> Path:
    """The same bytes for the same files, so that their digest tells engines apart."""

    def plain(info: tarfile.TarInfo) -> tarfile.TarInfo:
        info.mtime = info.uid = info.gid = 0
        info.uname = info.gname = ""
        return info

    with tarfile.open(tar, "w") as file:
        file.add(directory, MODEL, recursive=False, filter=plain)
        for path in sorted(directory.rglob("*")):
            name = f"{MODEL}/{path.relative_to(directory)}"
            file.add(path, name, recursive=False, filter=plain)
    return tar
