"""The measure of TensorRT-LLM engines: the measuring job, inside of the image."""

import asyncio
import tarfile
from dataclasses import dataclass
from pathlib import Path

from services.trainer.adapters.measuring import write_job
from services.trainer.adapters.process import ROOT, patience, succeeded
from services.trainer.adapters.tensorrt.builder import MODEL, TensorRtLlmBuilder
from services.trainer.ports import Asked, Source


@dataclass(frozen=True, slots=True)
class TensorRtLlmMeter:
    """``services.trainer.adapters.measure`` on some rows.

    Args:
        builder: of the engines; the measure runs where its commands do.
        rows: of the held-out rows, those that are scored; the same ones every time.
    """

    builder: TensorRtLlmBuilder
    threads: int
    rows: int

    async def __call__(
        self, engine: Path, source: Source, held_out: Path, asked: Asked, work: Path
    ) -> str:
        place = work / "measure"
        place.mkdir()
        await asyncio.to_thread(_unpack, engine, place)
        engine_at = {"model": str(place / MODEL)}
        write_job(place, engine_at, source, held_out, asked, threads=self.threads, rows=self.rows)
        module = "services.trainer.adapters.measure"
        command = ("env", f"PYTHONPATH={ROOT}", "python3", "-m", module, str(place))
        reads = (ROOT / "services", source.base_model, source.weights.parent, held_out.parent)
        async with patience(self.builder.timeout_s, "the measuring"):
            ended = await self.builder.run(command, place, reads, source.build_id)
        succeeded(place, ended)
        return (place / "measured.json").read_text()


def _unpack(tar: Path, out: Path) -> None:
    """Our builder's own, by its digest."""
    with tarfile.open(tar, "r:") as packed:
        packed.extractall(out, filter="data")
