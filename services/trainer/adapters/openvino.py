"""Engines for CPUs: merged weights to GGUF for OpenVINO GenAI, and the measure of them.

Both are processes of the model environment.
"""

import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from libs.faults import Fatal, Poison
from libs.runtime.child import run_child
from services.trainer.adapters.described import chat_of
from services.trainer.adapters.measuring import write_job
from services.trainer.adapters.process import environment, patience, succeeded
from services.trainer.domain.engine import NO_BUILDER, Target
from services.trainer.ports import Asked, Built, Source, Told

RUNTIME: Final = "openvino-genai"
MEDIA_TYPE: Final = "application/vnd.gguf"
PRECISION: Final = re.compile(r"(q8_0|f16|q4_1)(-drop[1-9]\d?)?")


@dataclass(frozen=True, slots=True)
class OpenVinoBuilder:
    """One GGUF file per engine.

    Args:
        python: of the model environment.
        current_version: of openvino-genai there.
        timeout_s: of one build, before the attempt is given up.
    """

    python: Path
    threads: int
    current_version: str
    timeout_s: float

    @property
    def runtime(self) -> str:
        return RUNTIME

    def target(self, precision: str) -> Target:
        if not PRECISION.fullmatch(precision):
            told = f"{RUNTIME} has no precision {precision!r}, only q8_0, f16, q4_1; q8_0-drop2"
            raise Poison(told, code=NO_BUILDER)
        return Target(RUNTIME, self.current_version, precision, "cpu")

    async def build(self, source: Source, target: Target, work: Path, told: Told) -> Built:
        out = work / "model.gguf"
        module = "services.trainer.adapters.gguf"
        command = [self.python, "-m", module, source.base_model, source.weights, out]

        def on_line(line: Mapping[str, Any]) -> None:
            told("quantizing", float(line["done"]))

        async with patience(self.timeout_s, "the conversion"):
            ended = await run_child(
                [str(part) for part in [*command, target.precision]],
                cwd=work,
                env=environment(self.threads),
                on_line=on_line,
            )
        succeeded(work, ended)
        chat = chat_of(source.base_model)
        return Built(out, MEDIA_TYPE, source.base_model / "tokenizer.json", chat)


@dataclass(frozen=True, slots=True)
class OpenVinoMeter:
    """``services.trainer.adapters.measure`` on some rows.

    Args:
        rows: of the held-out rows, those that are scored; the same ones every time.
    """

    python: Path
    threads: int
    rows: int
    timeout_s: float

    async def __call__(
        self, engine: Path, source: Source, held_out: Path, asked: Asked, work: Path
    ) -> str:
        place = work / "measure"
        place.mkdir()
        gguf = place / "model.gguf"  # OpenVINO knows the format by the name alone
        gguf.symlink_to(engine)
        engine_at = {"gguf": str(gguf)}
        write_job(place, engine_at, source, held_out, asked, threads=self.threads, rows=self.rows)
        command = [str(self.python), "-m", "services.trainer.adapters.measure", str(place)]
        async with patience(self.timeout_s, "the measuring"):
            ended = await run_child(
                command, cwd=place, env=environment(self.threads), on_line=lambda _: None
            )
        succeeded(place, ended)
        return (place / "measured.json").read_text()


def version_in(python: Path) -> str:
    """The version of openvino-genai in an environment.

    Raises:
        Fatal: it has none; no engine could ever be built or served.
    """
    ask = f"from importlib.metadata import version; print(version({RUNTIME!r}))"
    told = subprocess.run([python, "-c", ask], capture_output=True, text=True, timeout=60)  # noqa: S603  # settings, not input
    if told.returncode:
        raise Fatal(f"{python} has no {RUNTIME}: {told.stderr.strip()[-200:]}")
    return told.stdout.strip()
