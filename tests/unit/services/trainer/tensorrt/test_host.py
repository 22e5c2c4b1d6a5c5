"""The GPU builder as the composition root makes it, on hosts made of scripts."""

from pathlib import Path

import pytest

from libs.faults import Fatal
from services.trainer.compose import gpu_builder
from services.trainer.config import TensorRtSettings

DIGEST = "sha256:" + "ab" * 32
WANTED = TensorRtSettings(image="26.07", image_digest=DIGEST, tensor_parallel=2)


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The whole PATH."""
    monkeypatch.setenv("PATH", str(tmp_path))
    return tmp_path


def put(tools: Path, name: str, script: str) -> None:
    (tools / name).write_text(f"#!/bin/sh\n{script}\n")
    (tools / name).chmod(0o755)


def test_a_host_with_gpus_and_the_image_builds_for_them(tools: Path) -> None:
    put(tools, "nvidia-smi", "echo 9.0; echo 9.0")
    put(tools, "docker", f'for last; do :; done; case "$last" in *@{DIGEST}) ;; *) exit 1;; esac')

    target = gpu_builder(WANTED, 60.0).target("bf16")

    assert (target.runtime, target.hardware) == ("tensorrt-llm", "sm_90x2")
    assert target.runtime_version == "1.2.1 llmapi 26.07@abababababab"


@pytest.mark.parametrize(
    ("gpus", "why"),
    [
        (None, "no GPU here: run the trainer on a host with GPUs"),
        ("exit 9", "no GPU here"),
        ("echo 9.0", "TENSOR_PARALLEL is 2, 1 GPUs are here"),
        ("echo 9.0; echo 8.9", "several kinds .sm_89, sm_90."),
        ("echo 9.0; echo 9.0", "`docker pull nvcr.io/nvidia/tritonserver:26.07"),
    ],
)
def test_a_host_that_lacks_something_says_what_to_do(
    gpus: str | None, why: str, tools: Path
) -> None:
    if gpus is not None:
        put(tools, "nvidia-smi", gpus)

    with pytest.raises(Fatal, match=why):
        gpu_builder(WANTED, 60.0)


def test_an_image_that_nobody_knows_is_refused_at_the_start(tools: Path) -> None:
    with pytest.raises(Fatal, match=r"PERENNIAL_TENSORRT__IMAGE: Triton 1\.0 is not one of"):
        gpu_builder(WANTED.model_copy(update={"image": "1.0"}), 60.0)
