"""One attempt at an engine: build it unless it is there, measure it, judge it."""

import asyncio
import hashlib
import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import structlog

from libs.artifacts.store import ArtifactStore
from libs.faults import Poison, Retryable
from libs.runtime.clock import Clock
from libs.sql.job import Job, Outcome
from libs.sql.worker import Report
from protos.common.v1.common_pb2 import Artifact
from protos.training.v1.training_events_pb2 import EngineBuilt, EngineRequested
from services.trainer.domain.engine import NO_BUILDER, Order, Target
from services.trainer.domain.gate import judge
from services.trainer.handlers.materials import Materials
from services.trainer.ports import Built, EngineBuilder, EngineMeter, Guard, Shelf
from services.trainer.wire import building

log = structlog.get_logger()

JSON: Final = "application/json"
TEXT: Final = "text/plain"
MEASURE: Final = "2"
"""Grows whenever the same engine and rows would get other figures."""
LOG: Final = "build.log"


@dataclass(frozen=True, slots=True)
class Workbench:
    """What makes the engines of one runtime, and measures them."""

    builder: EngineBuilder
    meter: EngineMeter


def bench_for(order: Order, benches: Mapping[str, Workbench]) -> tuple[Workbench, Target]:
    """Who builds what is ordered, and what they would build for.

    Raises:
        Poison: ``no_builder``: nobody here does, for that runtime or in that precision.
    """
    bench = benches.get(order.runtime)
    if bench is None:
        told = f"nothing here builds for {order.runtime}, only {', '.join(sorted(benches))}"
        raise Poison(f"{told}: see the trainer's README, Engines", code=NO_BUILDER)
    return bench, bench.builder.target(order.precision)


@dataclass(frozen=True, slots=True)
class Yard:
    """Where this host builds."""

    builds_dir: Path
    base_model: Path


@dataclass(frozen=True, slots=True)
class Build:
    """The work of `libs.sql.worker.JobWorker`. Steps that an earlier attempt, or another build of
    the same key, has done are not done again.

    Raises:
        Poison: no attempt could succeed; its code is announced.
        Retryable: this attempt died; another one goes on.
    """

    yard: Yard
    store: ArtifactStore
    shelf: Shelf
    benches: Mapping[str, Workbench]
    guard: Guard
    clock: Clock

    async def __call__(self, job: Job, report: Report) -> Outcome:
        request = building.request_of(job)
        folder = self.yard.builds_dir / request.build_id
        work = folder / f"attempt-{job.attempt}"
        materials = Materials(self.store, self.guard, self.yard.base_model, request, work)
        attempt = _Attempt(self, request, work, report, folder / LOG, materials)
        try:
            await asyncio.to_thread(attempt.prepare, job.attempt)
            outcome = await attempt.run()
        except (Poison, Retryable) as error:
            attempt.note(f"failed: {error}")
            raise
        finally:
            await asyncio.to_thread(attempt.leave)
        return outcome


@dataclass(slots=True)
class _Attempt:
    build: Build
    request: EngineRequested
    work: Path
    report: Report
    log: Path
    materials: Materials

    def prepare(self, number: int) -> None:
        """An empty work directory; what a killed attempt has left is gone, but for its log."""
        for left in self.work.parent.glob("attempt-*"):
            shutil.rmtree(left, ignore_errors=True)
        self.work.mkdir(parents=True)
        self.note(f"attempt {number} at {self.request.build_id}")

    async def run(self) -> Outcome:
        request, began = self.request, self.build.clock.monotonic()
        order = building.buildable(request)
        bench, target = bench_for(order, self.build.benches)
        made = await self._engine(target, bench.builder)
        figures = await self._figures(made, bench)
        self._at("judging", 0.0)
        made.seconds = self.build.clock.monotonic() - began
        self.judge(made, order, figures)
        made.log.CopyFrom(await asyncio.to_thread(self._keep_log))
        return building.completion(made)

    async def _engine(self, target: Target, builder: EngineBuilder) -> EngineBuilt:
        """The engine of the target's key: from the shelf, or built and put there."""
        key = target.key(self.request.model.digest).digest()
        made = self._new()
        if (kept := await asyncio.to_thread(self.build.shelf.kept, f"engine/{key}")) is not None:
            found = EngineBuilt.FromString(kept)
            made.engine.CopyFrom(found.engine)
            made.size_bytes, made.reused = found.size_bytes, True
            self.note(f"engine {key} is there already")
            return made
        began = self.build.clock.monotonic()
        source = await asyncio.to_thread(self.materials.source)
        place = self.work / "engine"
        place.mkdir()
        self._at("building", 0.0)
        built = await builder.build(source, target, place, self._built_so_far)
        stored = await asyncio.to_thread(self._stored, built)
        made.engine.CopyFrom(building.engine(target, key, *stored, built.chat))
        made.size_bytes = made.engine.weights.size_bytes
        value = made.SerializeToString(deterministic=True)
        await asyncio.to_thread(self.build.shelf.keep, f"engine/{key}", value)
        seconds = self.build.clock.monotonic() - began
        self.note(f"engine {key}: {made.size_bytes} bytes in {seconds:.1f} s")
        return made

    def _new(self) -> EngineBuilt:
        request = self.request
        return EngineBuilt(
            build_id=request.build_id,
            campaign_id=request.campaign_id,
            application=request.application,
            model_digest=request.model.digest,
        )

    async def _figures(self, made: EngineBuilt, bench: Workbench) -> bytes:
        """``measured.json``."""
        request = self.request
        asked = building.asked(request)
        all_of_it = {
            "measure": MEASURE,
            "engine": made.engine.weights.sha256,
            "weights": request.model.digest,
            "held_out": request.held_out.sha256,
            "runtime": made.engine.runtime_version,
            **asdict(asked),
        }
        text = json.dumps(all_of_it, sort_keys=True)
        key = "measured/" + hashlib.sha256(text.encode()).hexdigest()
        if (kept := await asyncio.to_thread(self.build.shelf.kept, key)) is not None:
            self.note("measured already")
            return kept
        self._at("fetching", 0.0)
        source = await asyncio.to_thread(self.materials.source)
        rows = await asyncio.to_thread(self.materials.held_out)
        engine = await asyncio.to_thread(self._engine_file, made)
        self._at("measuring", 0.0)
        told = await bench.meter(engine, source, rows, asked, self.work)
        await asyncio.to_thread(self.build.shelf.keep, key, told.encode())
        return told.encode()

    def judge(self, made: EngineBuilt, order: Order, figures: bytes) -> None:
        """Write verdict and report into the event.

        Raises:
            Poison: ``bad_dataset``: too few rows; ``bad_engine``: it gives no numbers.
        """
        found = building.measured(figures)
        try:
            verdict = judge(order, found, made.engine.digest)
        except ValueError as error:
            raise Poison(str(error), code="bad_dataset") from error
        building.judged(made, verdict, found)
        told = building.report(made, order, verdict, figures)
        made.report.CopyFrom(self.build.store.put(told, JSON))
        self.note(f"{'passed' if made.passed else 'not passed'}: {'; '.join(made.reasons)}")

    def _engine_file(self, made: EngineBuilt) -> Path:
        """
        Raises:
            Retryable: a kept engine is gone from the store; the next attempt builds it again.
        """
        engine = self.work / "engine.bin"
        try:
            self.build.store.get_file(made.engine.weights, engine)
        except Poison as error:
            self.build.shelf.drop(f"engine/{made.engine.digest}")
            raise Retryable(f"the engine is gone from the store: {error}", after_s=0.0) from error
        return engine

    def _stored(self, built: Built) -> tuple[Artifact, Artifact]:
        store = self.build.store
        return store.put_file(built.weights, built.media_type), store.put_file(
            built.tokenizer, JSON
        )

    def _built_so_far(self, step: str, done: float) -> None:
        self.report(building.progress("building", done))
        if not done:
            self.note(f"building: {step}")

    def _at(self, step: str, done: float) -> None:
        self.report(building.progress(step, done))
        if not done:
            self.note(step)

    def note(self, words: str) -> None:
        """One line for the build's log, and for the service's."""
        log.info("engine.build", build_id=self.request.build_id, told=words)
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("a") as file:
            file.write(f"{self.build.clock.now().isoformat(timespec='milliseconds')} {words}\n")

    def leave(self) -> None:
        """Keep the log, drop the rest. A store that is away costs the log, not the build."""
        try:
            self._keep_log()
        except (Retryable, OSError) as error:
            log.warning("engine.log_untold", build_id=self.request.build_id, error=str(error))
        shutil.rmtree(self.work, ignore_errors=True)

    def _keep_log(self) -> Artifact:
        parts = [self.log, *sorted(self.work.rglob("*.log"))]
        texts = [f"== {part.name}\n{part.read_text(errors='replace')}" for part in parts]
        kept = self.build.store.put("\n".join(texts).encode(), TEXT)
        value = kept.SerializeToString(deterministic=True)
        self.build.shelf.keep(f"log/{self.request.build_id}", value)
        return kept
