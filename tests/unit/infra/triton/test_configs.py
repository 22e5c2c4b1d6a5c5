"""Every config.pbtxt is one that Triton can read."""

from pathlib import Path
from string import Template

from google.protobuf import text_format
from tritonclient.grpc.model_config_pb2 import ModelConfig

MODELS = Path(__file__).parents[4] / "infra" / "triton"
LLM = {
    "name": "llm-0123",
    "gguf": "/g",
    "tokenizer": "/t",
    "cache_size_gb": "0.3",
    "prefix_reuse": "false",
}


def config(model: str, **values: str) -> ModelConfig:
    text = (MODELS / model / "config.pbtxt").read_text()
    return text_format.Parse(Template(text).substitute(values), ModelConfig())


def test_no_template_is_forgotten() -> None:
    assert {path.parent.name for path in MODELS.glob("*/config.pbtxt")} == {
        "embedding",
        "llm",
        "tensorrt_llm",
    }


def test_the_engine_streams_and_only_the_text_is_required() -> None:
    found = config("llm", **LLM)

    assert found.name == "llm-0123"
    assert found.model_transaction_policy.decoupled
    assert found.max_batch_size == 0
    assert [each.name for each in found.input if not each.optional] == ["text_input"]
    assert found.parameters["gguf"].string_value == "/g"


def test_the_embedding_batches() -> None:
    found = config("embedding", EMBEDDING_DIR="/e")

    assert found.name == "embedding"
    assert found.max_batch_size == 32
    assert found.HasField("dynamic_batching")
    assert found.output[0].dims == [384]
    assert found.parameters["directory"].string_value == "/e"
