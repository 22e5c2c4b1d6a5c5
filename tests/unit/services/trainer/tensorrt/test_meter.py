"""The measure of GPU engines, with a script in the place of the image's python."""

import json
from dataclasses import dataclass
from pathlib import Path

import pytest

from libs.faults import Poison, Retryable
from services.trainer.adapters.process import ROOT
from services.trainer.adapters.tensorrt.builder import TensorRtLlmBuilder
from services.trainer.adapters.tensorrt.meter import TensorRtLlmMeter
from services.trainer.ports import Asked, EngineMeter, Source
from tests.unit.services.trainer.tensorrt.plans import TEMPLATES, plan
from tests.unit.services.trainer.tensorrt.test_builder import CONFIG

MEASURES = f'[ "$PYTHONPATH" = {ROOT} ] && cat "$3/model/config.pbtxt" > "$3/measured.json"'
REFUSES = """echo '{"code": "bad_dataset", "reason": "no rows"}' > "$3/error.json"; exit 1"""


@dataclass(frozen=True)
class World:
    meter: EngineMeter
    engine: Path
    source: Source
    work: Path

    async def measure(self) -> str:
        asked = Asked("Briefly: {{ question }}", {"temperature": 0.5})
        held_out = self.work / "held_out.parquet"
        return await self.meter(self.engine, self.source, held_out, asked, self.work)


@pytest.fixture
async def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    base, work = tmp_path / "base", tmp_path / "work"
    base.mkdir()
    work.mkdir()
    (base / "config.json").write_text(json.dumps(CONFIG))
    (base / "tokenizer.json").write_text("{}")
    (base / "chat_template.jinja").write_text("")
    (work / "merged.safetensors").write_bytes(b"weights")
    source = Source(work / "merged.safetensors", base)
    builder = TensorRtLlmBuilder(plan("bf16"), "sha256:ab", TEMPLATES, "", inside=True)
    built = await builder.build(source, builder.target("bf16"), work, lambda *_: None)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    return World(TensorRtLlmMeter(builder, 2, 16), built.weights, source, work)


def python(world: World, script: str) -> None:
    tool = world.work.parent / "python3"
    tool.write_text(f"#!/bin/sh\n{script}\n")
    tool.chmod(0o755)


async def test_the_unpacked_engine_is_measured_where_the_builder_runs(world: World) -> None:
    python(world, MEASURES)

    told = await world.measure()

    job = json.loads((world.work / "measure" / "job.json").read_text())
    assert 'name: "${name}"' in told
    assert job["model"] == str(world.work / "measure" / "model")
    assert (job["rows"], job["decoding"]) == (16, {"temperature": 0.5})


async def test_what_the_job_says_ends_the_build_and_a_death_does_not(world: World) -> None:
    python(world, REFUSES)
    with pytest.raises(Poison, match="no rows") as refused:
        await world.measure()

    world.work.joinpath("measure").rename(world.work / "before")
    python(world, "exit 3")
    with pytest.raises(Retryable, match="status 3"):
        await world.measure()

    assert refused.value.code == "bad_dataset"
