"""Engines of TensorRT-LLM, from the builder's tar to a model directory."""

import importlib.util
import io
import json
import tarfile
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2

from libs.faults import Poison
from services.inference.adapters import gpu_model
from services.inference.domain.gpu import Gpus, mismatches
from services.trainer.adapters.tensorrt.builder import TensorRtLlmBuilder
from services.trainer.ports import Source
from tests.unit.services.trainer.tensorrt.plans import TEMPLATES, plan

HERE = Gpus("26.07", "1.2.1", "sm_90", 1)
VALUES = {
    "name": "llm-ab",
    "tokenizer": "/engines/ab/tokenizer.json",
    "adapters": "",
    "prefix_reuse": "",
}
KEY = {
    "image": "26.07",
    "tensorrt_llm": "1.2.1",
    "hardware": "sm_90",
    "ranks": 1,
    "flow": "llmapi",
}
CONFIG = 'name: "${name}" backend: "python" model_transaction_policy { decoupled: true }'
SHAPE = {
    "architectures": ["LlamaForCausalLM"],
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "hidden_size": 256,
    "intermediate_size": 512,
}
Put = Callable[[tarfile.TarFile], None]


def file(name: str, content: str | bytes = "", **info: Any) -> Put:
    data = content.encode() if isinstance(content, str) else content

    def put(tar: tarfile.TarFile) -> None:
        member = tarfile.TarInfo(name)
        member.size = len(data)
        for field, value in info.items():
            setattr(member, field, value)
        tar.addfile(member, io.BytesIO(data))

    return put


def packed(path: Path, *members: Put, mode: str = "w") -> Path:
    """A tar with these members; without any, a good one."""
    with tarfile.open(path, mode) as tar:  # type: ignore[call-overload]  # a mode of tarfile's
        for put in members or good():
            put(tar)
    return path


def good(key: object = KEY, config: str = CONFIG) -> list[Put]:
    return [
        file("model/1/engine_key.json", json.dumps(key)),
        file("model/1/model.py", "# the model"),
        file("model/config.pbtxt", config),
    ]


@pytest.fixture
def tar(tmp_path: Path) -> Path:
    return tmp_path / "engine.tar"


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "repository" / "llm-ab"


async def test_what_the_builder_packs_is_a_model_that_triton_can_read(
    tmp_path: Path, out: Path
) -> None:
    base, work = tmp_path / "base", tmp_path / "work"
    base.mkdir()
    work.mkdir()
    (base / "config.json").write_text(json.dumps(SHAPE))
    (base / "tokenizer.json").write_text("{}")
    (base / "chat_template.jinja").write_text("")
    (tmp_path / "merged.safetensors").write_bytes(b"weights")
    builder = TensorRtLlmBuilder(plan("bf16"), "sha256:ab", TEMPLATES, "", inside=True)
    source = Source(tmp_path / "merged.safetensors", base)
    built = await builder.build(source, builder.target("bf16"), work, lambda *_: None)

    gpu_model.place(built.weights, out, HERE, VALUES)

    config = text_format.Parse((out / "config.pbtxt").read_text(), model_config_pb2.ModelConfig())
    assert config.name == "llm-ab"
    assert {"text_input", "lora_id"} <= {tensor.name for tensor in config.input}
    assert config.parameters["tokenizer"].string_value == VALUES["tokenizer"]
    assert (out / "1" / "model.py").exists()
    assert (out / "checkpoint" / "model.safetensors").read_bytes() == b"weights"


@pytest.mark.parametrize(
    "stranger",
    [
        file("model/../../../escaped", "x"),
        file("/model/escaped", "x"),
        file("elsewhere/file", "x"),
        file("model/link", type=tarfile.SYMTYPE, linkname="/etc/passwd"),
        file("model/link", type=tarfile.LNKTYPE, linkname="model/1/model.py"),
        file("model/pipe", type=tarfile.FIFOTYPE),
        file("model/device", type=tarfile.CHRTYPE),
        file("model/1/model.py", "# another"),
        file("model/1/model.py/below", "x"),
    ],
)
def test_what_would_reach_out_of_the_directory_is_refused(
    stranger: Put, tar: Path, out: Path, tmp_path: Path
) -> None:
    packed(tar, *good(), stranger)

    with pytest.raises(Poison) as refused:
        gpu_model.place(tar, out, HERE, VALUES)

    assert refused.value.code == "bad_engine"
    assert not (tmp_path / "escaped").exists()


def test_content_beyond_the_tars_own_size_is_refused(tar: Path, out: Path) -> None:
    """A sparse file: a few bytes that would become a gigabyte."""
    sparse = {"GNU.sparse.major": "0", "GNU.sparse.size": str(2**30), "GNU.sparse.map": "0,1"}
    packed(tar, *good(), file("model/huge", "x", pax_headers=sparse))

    with pytest.raises(Poison, match="does not belong"):
        gpu_model.place(tar, out, HERE, VALUES)


def test_too_many_members_are_refused(tar: Path, out: Path) -> None:
    packed(tar, *good(), *(file(f"model/{n}") for n in range(gpu_model.MOST_MEMBERS)))

    with pytest.raises(Poison, match="one too many"):
        gpu_model.place(tar, out, HERE, VALUES)


def test_a_tar_that_was_compressed_or_cut_is_refused(tar: Path, out: Path) -> None:
    packed(tar, mode="w:gz")
    with pytest.raises(Poison, match="not the tar"):
        gpu_model.place(tar, out, HERE, VALUES)

    packed(tar, *good(), file("model/weights", b"x" * 4096))
    tar.write_bytes(tar.read_bytes()[:6000])
    with pytest.raises(Poison, match="not the tar"):
        gpu_model.place(tar, out, HERE, VALUES)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"image": "26.01"}, "image 26.01 was built for, 26.07 is here"),
        ({"tensorrt_llm": "1.1.0"}, "tensorrt_llm 1.1.0 was built for"),
        ({"hardware": "sm_89"}, "hardware sm_89 was built for, sm_90 is here"),
        ({"ranks": 2}, "2 ranks need as many GPUs, 1 are here"),
        ({"ranks": "1"}, "1 ranks need"),
        ({"flow": "engine"}, "only llmapi is served"),
    ],
)
def test_an_engine_for_another_host_is_refused_before_it_is_unpacked(
    change: dict[str, Any], why: str, tar: Path, out: Path
) -> None:
    packed(tar, *good(KEY | change))

    with pytest.raises(Poison, match=why) as refused:
        gpu_model.place(tar, out, HERE, VALUES)

    assert refused.value.code == "engine_mismatch"
    assert not out.exists()


def test_where_triton_has_no_tensorrt_llm_it_says_what_to_do(tar: Path, out: Path) -> None:
    with pytest.raises(Poison, match="PERENNIAL_TRITON__GPU__IMAGE"):
        gpu_model.place(packed(tar), out, None, VALUES)


@pytest.mark.parametrize(
    ("members", "why"),
    [
        (good(key=[1]), "is no object"),
        (good()[1:], "no 1/engine_key.json"),
        (good()[:2], r"no config\.pbtxt"),
        (good(config=CONFIG + " gguf"), r"config\.pbtxt"),
        (good(config=CONFIG + ' parameters { key: "${unknown}" }'), r"config\.pbtxt"),
        (good(config=CONFIG.replace("${name}", "other")), "name, backend"),
        (good(config=CONFIG.replace("python", "tensorrtllm")), "name, backend"),
    ],
)
def test_a_directory_that_triton_would_not_serve_is_refused(
    members: list[Put], why: str, tar: Path, out: Path
) -> None:
    packed(tar, *members)

    with pytest.raises(Poison, match=why) as refused:
        gpu_model.place(tar, out, HERE, VALUES)

    assert refused.value.code == "bad_engine"


def test_gateway_and_engine_compare_a_key_alike() -> None:
    path = TEMPLATES / "tensorrt_llm" / "1" / "engine_key.py"
    spec = importlib.util.spec_from_file_location("engine_key", path)
    assert spec is not None
    assert spec.loader is not None
    engine = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(engine)
    others = [
        HERE,
        replace(HERE, image="26.01"),
        replace(HERE, tensorrt_llm="1.1.0"),
        replace(HERE, hardware="sm_89"),
        Gpus("26.01", "1.1.0", "sm_80", 8),
    ]

    for here in others:
        for ranks in (1, 2):
            key = KEY | {"ranks": ranks}
            assert mismatches(key, here) == engine.mismatches(key, asdict(here))
