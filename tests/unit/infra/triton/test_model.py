"""The model's engine thread over a runtime that a schema breaks, as OpenVINO's does."""

import json
import sys
import threading
from collections.abc import Iterator
from hashlib import sha256
from importlib import import_module
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

CODE = Path(__file__).parents[4] / "infra" / "triton" / "llm" / "1"
OURS = ("engine", "model", "request", "response", "text")
GOOD, BAD = '{"type":"string"}', '{"type":"string","pattern":"(?i)yes"}'
UNFOLLOWED = "invalid: the engine cannot follow the schema"
WAIT_S = 20.0


class Runtime:
    """Gives each request the next letter for each step. Like the true one, it knows a bad schema
    only when it steps, and stays broken until it is built again."""

    context_tokens = 1000

    def __init__(self, _: object = None) -> None:
        self.paused, self.go_on = threading.Event(), threading.Event()
        self.steps, self.builds = 0, 0
        self.seeds: list[tuple[str, int, int]] = []
        self.build()

    def build(self) -> None:
        self.builds += 1
        self.broken, self.running = False, []  # type: ignore[var-annotated]

    def close(self) -> None:
        pass

    def render(self, _: object) -> str:
        raise NotImplementedError

    def admit(self, request: Any) -> None:
        if request.min_tokens > 900:
            raise RuntimeError("min_new_tokens")
        left = request.max_tokens - request.num_output_tokens
        self.seeds.append((request.json_schema, request.num_output_tokens, request.next_seed))
        request.handle = SimpleNamespace(at=len(request.given), left=left, fresh=[], cancel=int)
        self.running.append(request)

    def step(self) -> None:
        self.steps += 1
        if self.steps == 3:
            self.paused.set()
            self.go_on.wait(WAIT_S)
        self.broken = self.broken or any(one.json_schema == BAD for one in self.running)
        if self.broken:
            raise RuntimeError("Group modifier flag is not supported yet.")
        for handle in (one.handle for one in self.running if one.handle.left):
            handle.fresh.append(handle.at)
            handle.at, handle.left = handle.at + 1, handle.left - 1


def news(handle: Any) -> tuple[list[int], list[float], str | None]:
    ids, handle.fresh = handle.fresh, []
    return ids, [-0.5] * len(ids), None if handle.left else "length"


class Sender:
    def __init__(self) -> None:
        self.text, self.error = "", ""
        self.ended = threading.Event()

    def send(self, response: Any, flags: int = 0) -> None:
        if response.error is not None:
            self.error = f"{response.error.code}: {response.error.message}"
        for tensor in response.tensors:
            if tensor.name == "text_output":
                self.text += tensor.as_numpy()[0].decode()
        if flags:
            self.ended.set()

    def is_cancelled(self) -> bool:
        return False


class Asked:
    def __init__(self, **tensors: Any) -> None:
        self.tensors = {"text_input": b"x", "streaming": True, "delta": True, **tensors}
        self.sender = Sender()

    def get_response_sender(self) -> Sender:
        return self.sender


def asked(tokens: int, schema: str = "", **more: Any) -> Asked:
    guide = {
        "guided_decoding_guide_type": b"json_schema",
        "guided_decoding_guide": schema.encode(),
    }
    return Asked(sampling_param_max_tokens=tokens, **(guide if schema else {}), **more)


class Tensor:
    def __init__(self, name: str, values: Any) -> None:
        self.name, self._values = name, values

    def as_numpy(self) -> Any:
        return self._values


def input_tensor(raw: Asked, name: str) -> Tensor | None:
    return Tensor(name, np.array([raw.tensors[name]], object)) if name in raw.tensors else None


class TritonError:
    INVALID_ARG, INTERNAL, UNAVAILABLE = "invalid", "internal", "unavailable"

    def __init__(self, message: str, code: str) -> None:
        self.message, self.code = message, code


def backend() -> ModuleType:
    """What Triton's python backend gives a model."""
    module: Any = ModuleType("triton_python_backend_utils")
    module.TRITONSERVER_RESPONSE_COMPLETE_FINAL = 1
    module.Logger = SimpleNamespace(log_error=lambda _: None)
    module.TritonError, module.Tensor = TritonError, Tensor
    module.get_input_tensor_by_name = input_tensor
    module.InferenceResponse = lambda tensors=(), error=None: SimpleNamespace(
        tensors=tensors, error=error
    )
    return module  # type: ignore[no-any-return]


def tokenizers() -> tuple[ModuleType, ModuleType]:
    """One token for a prompt; token 0 is "a"."""
    outer: Any = ModuleType("tokenizers")
    inner: Any = ModuleType("tokenizers.decoders")
    one = SimpleNamespace(
        get_added_tokens_decoder=dict, encode=lambda *_, **__: SimpleNamespace(ids=[1])
    )
    outer.Tokenizer = SimpleNamespace(from_file=lambda _: one)
    inner.DecodeStream = lambda **_: SimpleNamespace(step=lambda _, token: chr(97 + token))
    return outer, inner


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.syspath_prepend(CODE)
    for name in OURS:
        monkeypatch.delitem(sys.modules, name, raising=False)
    engine: Any = ModuleType("engine")
    engine.Engine, engine.news = Runtime, news
    outer, inner = tokenizers()
    for module in (engine, backend(), outer, inner):
        monkeypatch.setitem(sys.modules, module.__name__, module)
    made = import_module("model").TritonPythonModel()
    made.initialize(
        {"model_config": json.dumps({"parameters": {"tokenizer": {"string_value": "-"}}})}
    )
    yield made
    made._engine.go_on.set()
    made.finalize()
    for name in OURS:
        sys.modules.pop(name, None)


def answered(request: Asked) -> Sender:
    assert request.sender.ended.wait(WAIT_S)
    return request.sender


def test_a_schema_that_breaks_the_runtime_is_refused_and_the_others_answers_go_on(
    model: Any,
) -> None:
    other, bad, good, again = asked(8), asked(5, BAD), asked(3, GOOD), asked(5, BAD)

    model.execute([other])
    assert model._engine.paused.wait(WAIT_S)
    model.execute([bad, good])
    model._engine.go_on.set()
    answers = [answered(each) for each in (bad, other, good)]
    model.execute([again])

    assert [each.error for each in answers] == [UNFOLLOWED, "", ""]
    assert [each.text for each in answers[1:]] == ["abcdefgh", "abc"]
    assert answered(again).error == UNFOLLOWED
    assert model._engine.builds == 2


def test_an_answer_that_is_gone_on_with_does_not_draw_as_it_did_before(model: Any) -> None:
    other, bad = asked(8, sampling_param_seed=7), asked(5, BAD, sampling_param_seed=7)

    model.execute([other])
    assert model._engine.paused.wait(WAIT_S)
    model.execute([bad])
    model._engine.go_on.set()
    answered(other)

    first, again = (told[1:] for told in model._engine.seeds if not told[0])
    given, seed = again
    assert first == (0, 7)
    assert given > 0
    assert seed == int(sha256(f"7:{given}".encode()).hexdigest()[:16], 16)


def test_a_request_that_is_not_admitted_is_answered_alone(model: Any) -> None:
    other, odd = asked(8), asked(950, sampling_param_min_tokens=950)

    model.execute([other])
    assert model._engine.paused.wait(WAIT_S)
    model.execute([odd])
    model._engine.go_on.set()

    assert answered(odd).error == "invalid: the engine cannot take the request"
    assert answered(other).text == "abcdefgh"
    assert model._engine.builds == 1
