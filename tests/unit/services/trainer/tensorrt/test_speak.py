"""A GPU engine as the measuring job hears it, over a stand-in of ``tensorrt_llm``."""

import math
import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import asdict
from importlib import import_module
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy
import pytest
import yaml

from services.trainer.adapters.speech import Sampling, Speaker
from services.trainer.adapters.tensorrt.speak import Engine
from tests.unit.services.trainer.tensorrt.plans import TEMPLATES

END = 2
ODDS = numpy.log(numpy.array([[0.7, 0.2, 0.1]] * 3))


class Logits:
    """As a tensor on a GPU: shifted by a number, which changes no probability."""

    def float(self) -> "Logits":
        return self

    def cpu(self) -> "Logits":
        return self

    def numpy(self) -> Any:
        return (ODDS + 5).astype(numpy.float32)


class Running:
    def __init__(self, words: list[int], reason: str) -> None:
        self.outputs = [SimpleNamespace(token_ids=[], finish_reason=None)]
        self._words, self._reason = words, reason

    async def __aiter__(self) -> AsyncIterator["Running"]:
        for count in range(1, len(self._words) + 1):
            self.outputs[0].token_ids = self._words[:count]
            yield self
        self.outputs[0].finish_reason = self._reason
        yield self


class Llm:
    tokenizer = SimpleNamespace(eos_token_id=END)

    def __init__(self, **arguments: Any) -> None:
        self.arguments = arguments
        self.asked: list[dict[str, Any]] = []
        self.running = True

    def generate(self, ids: list[int], sampling_params: Any, use_tqdm: bool) -> Any:
        assert sampling_params["return_context_logits"]
        return SimpleNamespace(context_logits=Logits())

    def generate_async(self, ids: list[int], sampling_params: Any, streaming: bool) -> Running:
        self.asked.append(sampling_params)
        return Running([0, 1], "stop" if ids == [1] else "length")

    def shutdown(self) -> None:
        self.running = False


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Engine:
    package, api = ModuleType("tensorrt_llm"), ModuleType("tensorrt_llm.llmapi")
    vars(package)["llmapi"] = api
    vars(api).update(LLM=Llm, SamplingParams=dict)
    monkeypatch.setitem(sys.modules, "tensorrt_llm", package)
    arguments = {
        "model": "checkpoint",
        "enable_chunked_prefill": True,
        "kv_cache_config": {"enable_block_reuse": True},
        "triton_config": {"decoupled": True},
    }
    (tmp_path / "1").mkdir()
    (tmp_path / "1" / "model.yaml").write_text(yaml.safe_dump(arguments))
    return Engine(tmp_path)


def test_given_tokens_get_the_log_probabilities_of_the_logits_before_them(engine: Engine) -> None:
    ((first, second),) = engine.score([[0, 1, 2]])

    assert first == pytest.approx(math.log(0.2), abs=1e-5)
    assert second == pytest.approx(math.log(0.1), abs=1e-5)


def test_answers_come_together_and_the_token_that_ends_one_is_part_of_it(engine: Engine) -> None:
    speaker: Speaker = engine

    ended, cut = speaker.answer([[1], [0]], 8)

    assert (ended.ids, cut.ids) == ([0, 1, END], [0, 1])
    assert 0 < ended.first_s <= ended.last_s
    assert [asked["top_k"] for asked in engine._llm.asked] == [1, 1]


def test_a_release_is_asked_as_it_samples(engine: Engine) -> None:
    engine.answer([[1]], 8, Sampling(temperature=0.7, top_p=0.9, seed=3))

    (asked,) = engine._llm.asked
    assert (asked["temperature"], asked["top_p"], asked["seed"]) == (0.7, 0.9, 3)
    assert "top_k" not in asked


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """The engine's own module, which is packed with it and shares no code with the trainer."""
    for folder in ("llm", "tensorrt_llm"):
        monkeypatch.syspath_prepend(TEMPLATES / folder / "1")
    monkeypatch.setitem(sys.modules, "triton_python_backend_utils", ModuleType("utils"))
    own = ("engine", "engine_key", "request")
    for name in own:
        monkeypatch.delitem(sys.modules, name, raising=False)
    yield import_module("engine")
    for name in own:
        sys.modules.pop(name, None)


@pytest.mark.parametrize(
    "wish",
    [
        Sampling(),
        Sampling(temperature=0.7, top_p=0.9, seed=3),
        Sampling(temperature=1.0, top_k=40, presence_penalty=0.1, frequency_penalty=-0.2),
    ],
)
def test_an_engine_is_measured_as_it_samples_when_it_serves(
    engine: Engine, served: Any, wish: Sampling
) -> None:
    asked = SimpleNamespace(
        **asdict(wish),
        max_tokens=8,
        min_tokens=0,
        json_schema="",
        return_cumulative_logprob=False,
        return_log_probs=False,
    )

    engine.answer([[1]], 8, wish)

    values = served.sampling(asked, SimpleNamespace(SamplingParams=dict))
    assert values.pop("min_tokens") is None
    assert engine._llm.asked == [values]


def test_it_is_loaded_as_it_is_served_but_for_what_hides_logits(engine: Engine) -> None:
    arguments = engine._llm.arguments

    engine.close()

    assert arguments["model"].endswith("/checkpoint")
    assert arguments["enable_chunked_prefill"] is False
    assert arguments["kv_cache_config"] == {"enable_block_reuse": False}
    assert "triton_config" not in arguments
    assert not engine._llm.running
