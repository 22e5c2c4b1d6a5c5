"""Repositories of TensorRT-LLM engines in a real Triton; the engine itself is a stand-in."""

import json
import shutil
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from queue import Queue
from typing import Any

import numpy as np
import pytest
from tritonclient.grpc import InferenceServerClient, InferenceServerException, InferInput

from infra.local.home import REPO, Home
from infra.local.triton import REPOSITORY_HEADER, models
from libs.artifacts.memory import MemoryStore
from services.inference.adapters.engine_host import TritonHost
from services.inference.adapters.room import Room
from services.inference.adapters.triton import TritonGenerator, connect
from services.inference.domain.generation import Delta, Finish, Sampling
from services.inference.domain.gpu import Gpus
from services.inference.domain.release import Engine, File
from services.trainer.adapters.tensorrt.plan import Flow
from services.trainer.adapters.tensorrt.repository import (
    complete,
    engine_key,
    write_compiled,
    write_llmapi,
)
from tests.triton import RealTriton, serving
from tests.unit.services.trainer.tensorrt.plans import TEMPLATES, plan

STUB = Path(__file__).parent / "tensorrt_stub"
TOKENIZER = REPO / ".build" / "base-model" / "tokenizer.json"
TEXT = "naïve café — 今日は 👩‍🚀 stop here"
NVIDIA_SMI = "#!/bin/sh\necho 9.0\n"


class Server:
    """Triton, and one client of it."""

    def __init__(self, triton: RealTriton) -> None:
        self.triton = triton
        self.client = InferenceServerClient(triton.address)
        self._token = {f"triton-grpc-protocol-{REPOSITORY_HEADER}": triton.token}

    def load(self, name: str) -> None:
        self.client.load_model(name, headers=self._token)

    def answer(
        self, inputs: Sequence[InferInput], cancel_after: int = 0
    ) -> tuple[list[dict[str, Any]], str]:
        """The responses as values, and the error that ended them, "" without."""
        arrived: Queue[tuple[Any, Any]] = Queue()
        self.client.start_stream(partial(_arrive, arrived))
        found: list[dict[str, Any]] = []
        leaves = False
        try:
            self.client.async_stream_infer(
                "llm-gpu", list(inputs), enable_empty_final_response=True
            )
            while True:
                result, error = arrived.get(timeout=30)
                if error is not None:
                    return found, str(error)
                response = result.get_response()
                found.append({t.name: result.as_numpy(t.name)[0] for t in response.outputs})
                if response.parameters["triton_final_response"].bool_param:
                    return found, ""
                if cancel_after and len(found) >= cancel_after:
                    leaves = True
                    return found, "left"
        finally:  # never of a stream that has ended: Triton 2.51 does not survive it
            self.client.stop_stream(cancel_requests=leaves)


def _arrive(queue: "Queue[tuple[Any, Any]]", result: Any, error: Any) -> None:
    queue.put((result, error))


def tensor(name: str, value: object, dtype: str) -> InferInput:
    kinds = {"BYTES": np.object_, "BOOL": np.bool_, "INT32": np.int32, "UINT64": np.uint64}
    made = InferInput(name, [1], dtype)
    held = value.encode() if isinstance(value, str) else value
    made.set_data_from_numpy(np.array([held], dtype=kinds[dtype]))
    return made


def ask(text: str, max_tokens: int = 20, **more: object) -> list[InferInput]:
    inputs = [tensor("text_input", text, "BYTES")]
    inputs.append(tensor("sampling_param_max_tokens", max_tokens, "INT32"))
    flags = ("streaming", "delta", "return_finish_reason", "return_cumulative_logprob")
    inputs += [tensor(name, True, "BOOL") for name in flags]
    for name, value in more.items():
        dtype = "UINT64" if isinstance(value, int) else "BYTES"
        inputs.append(tensor(name, value, dtype))
    return inputs


def text_of(responses: Sequence[dict[str, Any]]) -> str:
    """Each delta is valid UTF-8 by itself."""
    return "".join(found["text_output"].decode() for found in responses if "text_output" in found)


def lay_out(repository: Path, adapters: Path) -> None:
    """A GPU engine with its stand-in, one built for another GPU, and a compiled one."""
    for name, hardware in (("llm-gpu", "sm_90"), ("llm-elsewhere", "sm_89")):
        model = repository / name
        wanted = plan("bf16", hardware)
        write_llmapi(wanted, TEMPLATES, "checkpoint", engine_key(wanted, "", {}), model)
        complete(model, name, TOKENIZER, adapters)
        shutil.copytree(STUB, model / "1", dirs_exist_ok=True)
        (model / "checkpoint").mkdir()
        shutil.copy(TOKENIZER, model / "checkpoint")
    compiled = replace(plan(), flow=Flow.COMPILED)
    write_compiled(compiled, TEMPLATES, "/engines/k", repository / "tensorrt_llm")


@pytest.fixture(scope="module")
def adapters(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("adapters")
    for name in ("a", "b"):
        (root / name).mkdir()
    return root


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, adapters: Path) -> Iterator[Server]:
    if not TOKENIZER.exists():
        pytest.skip("the base model is not there: `make setup` makes it")
    home = Home.of(tmp_path_factory.mktemp("triton"))
    home.make()
    lay_out(models(home), adapters)
    tools = tmp_path_factory.mktemp("tools")
    (tools / "nvidia-smi").write_text(NVIDIA_SMI)
    (tools / "nvidia-smi").chmod(0o755)
    environment = {"NVIDIA_TRITON_SERVER_VERSION": "26.07", "PATH": str(tools)}
    with serving(home, environment) as triton:
        found = Server(triton)
        try:
            found.load("llm-gpu")
            yield found
        finally:
            found.client.close()


def test_whole_characters_stream_and_one_final_response_ends_them(server: Server) -> None:
    responses, error = server.answer(ask(TEXT, max_tokens=64))

    assert error == ""
    assert text_of(responses).startswith(TEXT)
    assert responses[-1]["finish_reason"] == b"length"
    assert responses[-1]["cumulative_logprob"] == pytest.approx(-32.0)
    assert len(responses) > 5


def test_a_stop_word_ends_the_answer_before_it(server: Server) -> None:
    responses, _ = server.answer(ask(TEXT, max_tokens=500, sampling_param_stop="stop"))

    assert text_of(responses) == TEXT.partition("stop")[0]
    assert responses[-1]["finish_reason"] == b"stop"


def test_a_form_guides_the_answer(server: Server) -> None:
    schema = '{"type": "object"}'
    kind = {"guided_decoding_guide_type": "json_schema", "guided_decoding_guide": schema}

    responses, error = server.answer(ask("a form", 32, **kind))

    assert error == ""
    assert schema in text_of(responses)


def test_a_client_that_leaves_frees_its_slot(server: Server) -> None:
    _, left = server.answer(ask("slow words go on and on", max_tokens=5000), cancel_after=3)

    assert left == "left"
    assert server.answer(ask("next", max_tokens=2))[1] == ""


@pytest.mark.parametrize("text", ["refuse this", "crash on this"])
def test_an_engine_that_fails_tells_no_secret_and_answers_the_next(
    text: str, server: Server
) -> None:
    _, error = server.answer(ask(text))

    assert "engine" in error
    assert "Traceback" not in error
    assert "secret" not in error
    assert server.answer(ask("next", max_tokens=2))[1] == ""


def test_an_adapter_is_a_path_that_its_number_keeps(server: Server, adapters: Path) -> None:
    first = ask("x", 4, lora_id=7, lora_name="billing", lora_path=str(adapters / "a"))
    other = ask("x", 4, lora_id=7, lora_name="billing", lora_path=str(adapters / "b"))
    outside = ask("x", 4, lora_id=8, lora_name="etc", lora_path="/etc")

    assert "billing" in text_of(server.answer(first)[0])
    assert "names another path" in server.answer(other)[1]
    assert "no such adapter" in server.answer(outside)[1]


def test_an_engine_for_another_gpu_is_refused_by_name(server: Server) -> None:
    with pytest.raises(InferenceServerException, match="hardware sm_89 was built for, sm_90"):
        server.load("llm-elsewhere")


async def test_the_gateway_unpacks_a_builders_tar_and_streams_from_it(
    server: Server, tmp_path: Path
) -> None:
    wanted, model = plan("bf16"), tmp_path / "model"
    write_llmapi(wanted, TEMPLATES, "checkpoint", engine_key(wanted, "", {}), model)
    shutil.copytree(STUB, model / "1", dirs_exist_ok=True)
    (model / "checkpoint").mkdir()
    shutil.copy(TOKENIZER, model / "checkpoint")
    with tarfile.open(tmp_path / "engine.tar", "w") as tar:
        tar.add(model, "model")
    store = MemoryStore()
    files = [store.put_file(path, "x/y") for path in (tmp_path / "engine.tar", TOKENIZER)]
    weights, tokenizer = (File(f.uri, f.sha256, f.size_bytes, f.media_type) for f in files)
    engine = Engine("97" * 32, weights, tokenizer, "", runtime="tensorrt-llm")

    async with connect(server.triton.address) as channel:
        host = TritonHost(
            channel=channel,
            token=server.triton.token,
            store=store,
            templates=TEMPLATES / "llm",
            model_repository=server.triton.model_repository,
            cache=tmp_path / "engines",
            cache_size_gb=0.1,
            timeout_s=60.0,
            room=Room(0, 0, lambda: 2**40),
            gpus=Gpus("26.07", "1.2.1", "sm_90", 1),
        )
        reuse = []
        for wish in (False, True):
            await host.load(engine, reuse=wish)
            given = server.triton.model_repository / engine.model_name / "checkpoint/arguments.json"
            reuse.append(json.loads(given.read_text())["kv_cache_config"]["enable_block_reuse"])
        asked = Sampling(max_tokens=64, temperature=0.0, top_p=1.0, seed=1)
        pieces = TritonGenerator(channel).generate(engine.digest, TEXT, asked, 30.0)
        told = [piece async for piece in pieces]
        await host.unload(engine.digest)

    assert "".join(p.text for p in told if isinstance(p, Delta)).startswith(TEXT)
    assert isinstance(told[-1], Finish)
    assert reuse == [False, True]
    assert not (server.triton.model_repository / engine.model_name).exists()


def test_a_compiled_engine_lacks_nothing_but_its_backend(server: Server) -> None:
    with pytest.raises(InferenceServerException, match="unable to find backend library"):
        server.load("tensorrt_llm")
