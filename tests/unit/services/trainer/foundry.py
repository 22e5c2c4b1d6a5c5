"""Builder and meter as scripts, over the trainer's twins."""

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from libs.faults import Poison
from libs.sql.worker import Hooks, JobWorker, Pace
from protos.common.v1.common_pb2 import ModelVersion
from protos.training.v1.training_events_pb2 import EngineOrder, EngineRequested
from services.trainer.adapters.builds import SqlShelf, announce_build
from services.trainer.adapters.process import guard
from services.trainer.domain.engine import NO_BUILDER, Target
from services.trainer.handlers import Build, Workbench, Yard
from services.trainer.ports import Asked, Built, Chat, Source, Told
from tests.unit.services.trainer.fakes import EMPTY_WEIGHTS, Trainer

RUNTIME = "openvino-genai"


def figures(
    rows: int = 16, *, loss: float = 0.004, difference: float = 0.02, first_s: float = 0.1
) -> dict[str, Any]:
    """What the measuring job writes of an engine that strays so far."""
    return {
        "rows": [
            {
                "record_id": f"record-{row}",
                "tokens": 20 + row,
                "engine_loss": 1.0 + loss + 0.001 * (row % 3 - 1),
                "weights_loss": 1.0,
                "difference": difference,
            }
            for row in range(rows)
        ],
        "probes": [
            {
                "record_id": f"record-{row}",
                "tokens": 32,
                "agreed": 31,
                "first_token_s": first_s,
                "empty": False,
                "answer": "words",
                "repeats": 2,
                "identical": 1 + row % 2,
            }
            for row in range(8)
        ],
        "speeds": [{"streams": 1, "tokens_per_s": 60.0}, {"streams": 8, "tokens_per_s": 300.0}],
        "left_out": 0,
    }


@dataclass
class ScriptedBuilder:
    """Leaves the weights' digest and the precision as the engine."""

    version: str = "1"
    built: list[str] = field(default_factory=list)
    faults: list[Exception] = field(default_factory=list)
    hang: bool = False
    hanging: asyncio.Event = field(default_factory=asyncio.Event)
    stopped: bool = False

    @property
    def runtime(self) -> str:
        return RUNTIME

    @property
    def current_version(self) -> str:
        return self.version

    def target(self, precision: str) -> Target:
        if precision not in {"q8_0", "f16"}:
            raise Poison(f"no precision {precision}: only q8_0, f16", code=NO_BUILDER)
        return Target(RUNTIME, self.version, precision, "cpu")

    async def build(self, source: Source, target: Target, work: Path, told: Told) -> Built:
        self.built.append(target.precision)
        told("quantizing", 0.0)
        (work / "stderr.log").write_text("the tool's words")
        if self.faults:
            raise self.faults.pop(0)
        try:
            if self.hang:
                self.hanging.set()
                await asyncio.Event().wait()
        finally:
            self.stopped = True
        out = work / "model.gguf"
        out.write_bytes(b"GGUF " + target.precision.encode() + source.weights.read_bytes())
        return Built(
            out, "application/vnd.gguf", source.base_model / "tokenizer.json", Chat("{{ a }}")
        )


@dataclass
class ScriptedMeter:
    """``told`` are the figures of each measuring; the last one is repeated."""

    told: list[dict[str, Any] | Exception] = field(default_factory=lambda: [figures()])
    engines: list[bytes] = field(default_factory=list)
    asked: list[Asked] = field(default_factory=list)

    async def __call__(
        self, engine: Path, source: Source, held_out: Path, asked: Asked, work: Path
    ) -> str:
        self._see(engine, held_out)
        self.asked.append(asked)
        found = self.told[min(len(self.engines), len(self.told)) - 1]
        if isinstance(found, Exception):
            raise found
        return json.dumps(found)

    def _see(self, engine: Path, held_out: Path) -> None:
        self.engines.append(engine.read_bytes())
        assert held_out.read_bytes().startswith(b"PAR1")


@dataclass
class Foundry:
    """The part of the service that builds engines, without its doors."""

    trainer: Trainer
    builder: ScriptedBuilder = field(default_factory=ScriptedBuilder)
    meter: ScriptedMeter = field(default_factory=ScriptedMeter)

    @property
    def model(self) -> ModelVersion:
        merged = self.trainer.store.put(EMPTY_WEIGHTS, "application/vnd.safetensors")
        return ModelVersion(digest=merged.sha256, merged=merged, adapter=merged)

    def request(self, build_id: str = "build-1", **order: Any) -> EngineRequested:
        rows = self.trainer.store.put(b"PAR1 held out PAR1", "application/vnd.apache.parquet")
        return EngineRequested(
            build_id=build_id,
            campaign_id="campaign-1",
            application="bank",
            model=self.model,
            order=EngineOrder(**order),
            held_out=rows,
        )

    def submit(self, request: EngineRequested) -> bool:
        return self.trainer.builds.submit(request.build_id, request.SerializeToString())

    @property
    def benches(self) -> dict[str, Workbench]:
        return {RUNTIME: Workbench(self.builder, self.meter)}

    @property
    def build(self) -> Build:
        trainer = self.trainer
        yard = Yard(trainer.home / "builds", trainer.home / "base")
        shelf = SqlShelf(trainer.engine)
        return Build(yard, trainer.store, shelf, self.benches, guard, trainer.clock)

    async def work(
        self, stop: Callable[[], asyncio.Event] = asyncio.Event, heartbeat_s: float = 0.01
    ) -> bool:
        """One attempt, if any build waits for one."""
        self.trainer.clock.advance(60)
        pace = Pace(lease_s=30.0, heartbeat_s=heartbeat_s, poll_s=0.01)
        hooks = Hooks(ended=announce_build)
        worker = JobWorker(self.trainer.build_jobs, self.build, hooks, pace)
        return await worker.step(stop())
