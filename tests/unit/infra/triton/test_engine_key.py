"""Which host may load an engine that was built elsewhere."""

import json
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import pytest

CODE = Path(__file__).parents[4] / "infra" / "triton" / "tensorrt_llm" / "1" / "engine_key.py"
BUILT = {"image": "26.07", "tensorrt_llm": "1.2.1", "hardware": "sm_90", "ranks": 2}
HERE = {
    "image": "26.07",
    "tensorrt_llm": "1.2.1",
    "tensorrt": "10.14.1.48",
    "hardware": "sm_90",
    "gpus": 2,
}


@pytest.fixture
def key() -> Any:
    spec = spec_from_file_location("triton_engine_key", CODE)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_host_it_was_built_for_may_load_it(key: Any) -> None:
    assert key.mismatches(BUILT, HERE) == []


@pytest.mark.parametrize(
    ("other", "said"),
    [
        ({"image": "26.04"}, "image 26.07 was built for, 26.04 is here"),
        ({"tensorrt_llm": "1.1.0"}, "tensorrt_llm 1.2.1 was built for, 1.1.0 is here"),
        ({"hardware": "sm_89"}, "hardware sm_90 was built for, sm_89 is here"),
        ({"hardware": ""}, "hardware sm_90 was built for, none is here"),
        ({"gpus": 1}, "2 ranks need as many GPUs, 1 are here"),
    ],
)
def test_another_host_is_refused(key: Any, other: dict[str, Any], said: str) -> None:
    assert key.mismatches(BUILT, HERE | other) == [said]


def test_tensorrt_is_compared_for_compiled_engines_alone(key: Any) -> None:
    other = HERE | {"tensorrt": "10.13.3.9"}

    assert key.mismatches(BUILT, other) == []
    assert len(key.mismatches(BUILT | {"tensorrt": "10.14.1.48"}, other)) == 1


def test_a_compiled_engine_has_a_file_for_each_rank_and_its_builders_version(
    key: Any, tmp_path: Path
) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"version": "1.1.0"}))
    (tmp_path / "rank0.engine").touch()

    assert key.faults(BUILT, tmp_path) == [
        "config.json says version 1.1.0, the key 1.2.1",
        "1 files rank*.engine for 2 ranks",
    ]


def test_a_machine_without_a_gpu_is_no_host(key: Any, tmp_path: Path) -> None:
    (tmp_path / "engine_key.json").write_text(json.dumps(BUILT))

    assert key.main([str(tmp_path / "engine_key.json")]) == 1
