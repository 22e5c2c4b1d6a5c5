"""The builder behind the port, as far as a machine without a GPU goes."""

import asyncio
import json
import os
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest

from libs.faults import Poison
from services.trainer.adapters.tensorrt.builder import TensorRtLlmBuilder, read_shape
from services.trainer.adapters.tensorrt.plan import Flow, Plan
from services.trainer.ports import Chat, EngineBuilder, Source
from tests.unit.services.trainer.tensorrt.plans import TEMPLATES, plan
from tests.waiting import eventually

CONFIG = {
    "architectures": ["LlamaForCausalLM"],
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "hidden_size": 256,
    "intermediate_size": 512,
}


def builder(made_for: Plan) -> TensorRtLlmBuilder:
    return TensorRtLlmBuilder(made_for, "sha256:0123456789abcdef", TEMPLATES, "/data", inside=True)


@pytest.fixture
def source(tmp_path: Path) -> Source:
    base = tmp_path / "base"
    base.mkdir()
    (base / "config.json").write_text(json.dumps(CONFIG))
    (base / "tokenizer.json").write_text("{}")
    (base / "chat_template.jinja").write_text("{{ messages }}")
    (base / "model.safetensors").write_bytes(b"base")
    merged = tmp_path / "merged.safetensors"
    merged.write_bytes(b"merged")
    return Source(merged, base)


@pytest.fixture
def work(tmp_path: Path) -> Path:
    made = tmp_path / "work"
    made.mkdir()
    return made


def test_the_key_names_image_flow_version_and_ranks() -> None:
    port: EngineBuilder = builder(plan(tensor_parallel=2))

    target = port.target("fp8")

    assert target.runtime_version == "1.2.1 llmapi 26.07@0123456789ab"
    assert target.hardware == "sm_90x2"


def test_a_precision_that_the_gpu_has_not_is_refused() -> None:
    with pytest.raises(Poison, match="sm_90") as refused:
        builder(plan()).target("nvfp4")

    assert refused.value.code == "no_builder"


def test_quantization_without_rows_to_fit_it_on_is_refused() -> None:
    bare = replace(builder(plan()), calibration="")

    assert bare.target("bf16").precision == "bf16"
    with pytest.raises(Poison, match="PERENNIAL_TENSORRT__CALIBRATION"):
        bare.target("fp8")


async def test_bf16_is_the_trained_weights_in_a_triton_model(source: Source, work: Path) -> None:
    made_by = builder(plan())

    built = await made_by.build(source, made_by.target("bf16"), work, lambda *_: None)

    assert built.chat == Chat("{{ messages }}")
    with tarfile.open(built.weights) as tar:
        assert {"model/config.pbtxt", "model/1/model.py", "model/1/model.yaml"} <= set(
            tar.getnames()
        )
        weights = tar.extractfile("model/checkpoint/model.safetensors")
        assert weights is not None
        assert weights.read() == b"merged"


async def test_the_same_build_gives_the_same_bytes(source: Source, tmp_path: Path) -> None:
    made_by, found = builder(plan()), []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        built = await made_by.build(
            source, made_by.target("bf16"), tmp_path / name, lambda *_: None
        )
        found.append(built.weights.read_bytes())

    assert found[0] == found[1]


@pytest.mark.parametrize("flow", Flow)
async def test_without_the_image_a_quantized_build_says_what_it_could_not_run(
    flow: Flow, source: Source, work: Path
) -> None:
    made_by = builder(plan(flow=flow))

    with pytest.raises(Poison, match="checkpoint failed"):
        await made_by.build(source, made_by.target("fp8"), work, lambda *_: None)

    assert "quantize.py" in (work / "commands.log").read_text()


async def test_a_model_that_does_not_fit_is_refused_before_anything_runs(
    source: Source, work: Path
) -> None:
    made_by = builder(plan(tensor_parallel=4))

    with pytest.raises(Poison, match="2 key/value heads"):
        await made_by.build(source, made_by.target("fp8"), work, lambda *_: None)

    assert os.listdir(work) == []


DOCKER = """#!/bin/sh
command=$1; shift
case $command in
rm) rm -f "$HOME/containers/$2";;
run)
    while [ "$1" != --name ]; do shift; done
    [ -e "$HOME/containers/$2" ] && { echo "Conflict: $2" >&2; exit 125; }
    touch "$HOME/containers/$2" "$HOME/began"
    [ -e "$HOME/hang" ] && while :; do sleep 0.01; done
    rm "$HOME/containers/$2";;
esac
"""
"""Knows containers by name; one that hangs stays when the command is ended."""


@pytest.fixture
def docker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The home of the stand-in, and in it ``containers``."""
    (tmp_path / "containers").mkdir()
    tool = tmp_path / "docker"
    tool.write_text(DOCKER)
    tool.chmod(0o755)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    return tmp_path


async def test_a_container_that_a_killed_trainer_left_is_removed_before_the_next(
    docker: Path, work: Path
) -> None:
    made_by = replace(builder(plan()), inside=False)
    (docker / "containers" / "perennial-build-1").touch()
    (docker / "containers" / "perennial-build-2").touch()

    ended = await made_by.run(("true",), work, (), "build-1")

    assert ended.status == 0
    assert os.listdir(docker / "containers") == ["perennial-build-2"]
    assert "--label perennial=build" in (work / "commands.log").read_text()


async def test_a_command_that_is_given_up_leaves_no_container(docker: Path, work: Path) -> None:
    made_by = replace(builder(plan()), inside=False)
    (docker / "hang").touch()
    running = asyncio.create_task(made_by.run(("true",), work, (), "build-1"))
    await asyncio.to_thread(eventually, (docker / "began").exists, 20.0, 0.01)

    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running

    assert os.listdir(docker / "containers") == []


def test_a_config_that_is_not_a_language_models_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")

    with pytest.raises(Poison, match="num_attention_heads"):
        read_shape(tmp_path / "config.json")
