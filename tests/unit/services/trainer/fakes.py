"""A trainer made of twins: SQL in a file, an artefact store in memory, a job that is a script."""

import asyncio
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from libs.artifacts.memory import MemoryStore
from libs.events.topics import E, Topic
from libs.kafka.memory import MemoryBroker
from libs.runtime.child import Exit
from libs.runtime.clock import ManualClock
from libs.sql.engine import connect
from libs.sql.jobs import Jobs
from libs.sql.relay import OutboxRelay
from libs.sql.worker import Hooks, JobWorker, Pace
from protos.training.v1.training_events_pb2 import Recipe, TrainingRequested
from services.trainer.adapters.builds import SqlBuilds, SqlCampaigns
from services.trainer.adapters.process import guard
from services.trainer.adapters.sql import SqlDiary, SqlRuns, announce
from services.trainer.adapters.tables import BUILDS, METADATA, OUTBOX, RUNS
from services.trainer.handlers import Attempt, Workshop

EMPTY_WEIGHTS = (2).to_bytes(8, "little") + b"{}"
Line = dict[str, Any]


def lines(first: int, total: int) -> list[Line]:
    """What a job prints that begins after step ``first``."""
    told: list[Line] = [{"event": "started", "resumed_from_step": first, "total_steps": total}]
    for step in range(first + 1, total + 1):
        figures = {"loss": 4.0 / step, "tokens_per_s": 450.0}
        told.append({"event": "progressed", "step": step, "total_steps": total, **figures})
    return told


@dataclass
class ScriptedJob:
    """Leaves what the real job leaves, without training.

    ``scripts`` holds one callable per attempt; the last one is repeated.
    """

    scripts: list[Callable[[Path, Callable[[Mapping[str, Any]], None]], int]]
    jobs: list[dict[str, Any]] = field(default_factory=list)
    found: list[list[str]] = field(default_factory=list)
    hang: bool = False
    hanging: asyncio.Event = field(default_factory=asyncio.Event)
    stopped: bool = False

    async def __call__(self, work: Path, on_line: Callable[[Mapping[str, Any]], None]) -> Exit:
        self.jobs.append(json.loads((work / "job.json").read_text()))
        self.found.append(sorted(path.name for path in (work / "checkpoints").iterdir()))
        script = self.scripts[min(len(self.jobs), len(self.scripts)) - 1]
        status = script(work, on_line)
        try:
            if self.hang:
                self.hanging.set()
                await asyncio.Event().wait()
        finally:
            self.stopped = True
        return Exit(status, "")


def succeeds(work: Path, on_line: Callable[[Mapping[str, Any]], None]) -> int:
    for line in lines(0, 3):
        on_line(line)
    out = work / "out"
    out.mkdir()
    for name in ("adapter", "merged"):
        header = json.dumps({"__metadata__": {"name": name}}).encode()
        data = len(header).to_bytes(8, "little") + header
        (out / f"{name}.safetensors").write_bytes(data)
    (work / "result.json").write_text(json.dumps(result(out)))
    return 0


def result(out: Path) -> dict[str, Any]:
    return {
        "steps": 3,
        "train_loss": 1.5,
        "seconds": 12.0,
        "base_sha256": "b" * 64,
        "adapter": str(out / "adapter.safetensors"),
        "merged": str(out / "merged.safetensors"),
    }


def dies_after_a_checkpoint(work: Path, on_line: Callable[[Mapping[str, Any]], None]) -> int:
    path = work / "checkpoints" / "step-000002.safetensors"
    path.write_bytes(EMPTY_WEIGHTS)
    for line in lines(0, 2):
        on_line(line)
    on_line({"event": "checkpointed", "step": 2, "path": str(path)})
    return -9


def says(code: str, reason: str) -> Callable[[Path, Callable[[Mapping[str, Any]], None]], int]:
    def script(work: Path, on_line: Callable[[Mapping[str, Any]], None]) -> int:
        (work / "error.json").write_text(json.dumps({"code": code, "reason": reason}))
        return 1

    return script


@dataclass
class Trainer:
    """The service without its doors."""

    home: Path
    job: ScriptedJob
    store: MemoryStore = field(default_factory=MemoryStore)
    broker: MemoryBroker = field(default_factory=MemoryBroker)
    clock: ManualClock = field(default_factory=ManualClock)
    engine: sa.Engine = field(init=False)

    def __post_init__(self) -> None:
        self.engine = connect(f"sqlite:///{self.home}/trainer.db")
        METADATA.create_all(self.engine)
        base = self.home / "base"
        base.mkdir(parents=True)
        (base / "tokenizer.json").write_text("{}")
        (base / "chat_template.jinja").write_text("{{ messages }}")

    @property
    def jobs(self) -> Jobs:
        return Jobs(self.engine, RUNS, self.clock)

    @property
    def runs(self) -> SqlRuns:
        return SqlRuns(self.jobs)

    @property
    def build_jobs(self) -> Jobs:
        return Jobs(self.engine, BUILDS, self.clock)

    @property
    def builds(self) -> SqlBuilds:
        return SqlBuilds(self.engine, self.build_jobs)

    @property
    def campaigns(self) -> SqlCampaigns:
        return SqlCampaigns(self.engine, self.jobs, self.build_jobs)

    @property
    def attempt(self) -> Attempt:
        workshop = Workshop(self.home / "runs", self.home / "base", 1024, 2)
        return Attempt(workshop, self.store, SqlDiary(self.engine), self.job, guard)

    def worker(self) -> JobWorker:
        pace = Pace(lease_s=30.0, heartbeat_s=0.01, poll_s=0.01)
        return JobWorker(self.jobs, self.attempt, Hooks(ended=announce), pace)

    def request(self, run_id: str = "run-1", recipe: Recipe | None = None) -> TrainingRequested:
        return TrainingRequested(
            run_id=run_id,
            campaign_id="campaign-1",
            application="bank",
            dataset_digest="d" * 64,
            train=self.store.put(b"PAR1 rows PAR1", "application/vnd.apache.parquet"),
            recipe=recipe,
        )

    async def work(self) -> bool:
        """One attempt, if any run waits for one."""
        self.clock.advance(60)
        return await self.worker().step(asyncio.Event())

    def events(self, topic: Topic[E]) -> list[E]:
        OutboxRelay(self.engine, OUTBOX, self.broker.sink()).step()
        return self.broker.events(topic)
