"""The adapters on a real Triton with a real language model."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import grpc
import numpy as np
import psutil
import pytest

from infra.local.home import REPO
from libs.faults import Poison
from libs.runtime.clock import SystemClock
from services.inference.adapters import triton
from services.inference.adapters.engine_host import TritonHost
from services.inference.adapters.room import Room
from services.inference.domain.admission import Admission
from services.inference.domain.generation import Ask, Delta, Finish, Form, Message, Sampling
from services.inference.domain.loaded import LoadedEngines
from services.inference.domain.pace import Pace
from services.inference.domain.release import Decoding, Engine, Release, Role, Route, Table
from services.inference.handlers.admit import Admit
from services.inference.handlers.answer import Answer
from services.inference.handlers.follow import FollowRouting
from services.inference.handlers.runner import Runner
from services.inference.ports import EngineFailed
from tests.integration.inference.conftest import FolderStore
from tests.triton import RealTriton
from tests.unit.services.inference.fakes import MemoryJournal, MemoryRouting, eventually
from tests.unit.services.inference.generator_contract import (
    PROMPT,
    GeneratorContract,
    Subject,
    sampling,
)

TEMPLATES = REPO / "infra" / "triton" / "llm"
MOST_PROBES = 2
"""That a death takes: at most 3 s go by before the first, which Triton refuses within 1 s, also
for a process that is stopped, or leaves waiting for 1.5 s where it was on its way."""


@dataclass
class Probes:
    """A generator that counts what it is asked while the engine counts as ready."""

    inner: triton.TritonGenerator
    loaded: LoadedEngines
    while_ready: int = 0

    def generate(
        self, digest: str, prompt: str, sampling: Sampling, timeout_s: float
    ) -> AsyncGenerator[Delta | Finish, None]:
        self.while_ready += self.loaded.ready(digest)
        return self.inner.generate(digest, prompt, sampling, timeout_s)


@pytest.fixture
async def channel(real_triton: RealTriton) -> AsyncIterator[grpc.aio.Channel]:
    async with triton.connect(real_triton.address) as opened:
        yield opened


def host(
    channel: grpc.aio.Channel,
    real_triton: RealTriton,
    store: FolderStore,
    cache: Path,
    token: str = "",
) -> TritonHost:
    return TritonHost(
        channel=channel,
        token=token or real_triton.token,
        store=store,
        templates=TEMPLATES,
        model_repository=real_triton.model_repository,
        cache=cache,
        cache_size_gb=0.3,
        timeout_s=300.0,
        room=Room(0, 0),
    )


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("engines")


@pytest.fixture
async def placed(
    channel: grpc.aio.Channel,
    real_triton: RealTriton,
    store: FolderStore,
    engine: Engine,
    cache: Path,
) -> TritonHost:
    """The host, with the engine loaded once for all tests."""
    made = host(channel, real_triton, store, cache)
    if not (real_triton.model_repository / engine.model_name).exists():
        await made.load(engine)
    return made


class TestTritonGenerator(GeneratorContract):
    @pytest.fixture
    async def subject(
        self, channel: grpc.aio.Channel, placed: TritonHost, engine: Engine
    ) -> Subject:
        inner = triton.TritonGenerator(channel)
        return Subject(inner, engine.digest, slow=lambda: None)

    async def test_an_answer_that_takes_too_long_is_given_up(self, subject: Subject) -> None:
        pieces = subject.generator.generate(subject.digest, PROMPT, sampling(max_tokens=2000), 0.5)

        with pytest.raises(EngineFailed) as failure:
            _ = [piece async for piece in pieces]

        assert failure.value.code == "deadline"


async def test_a_schema_that_breaks_the_runtime_is_refused_and_the_others_answers_go_on(
    channel: grpc.aio.Channel, placed: TritonHost, engine: Engine
) -> None:
    generator = triton.TritonGenerator(channel)
    broken = sampling(form=Form('{"type":"string","pattern":"(?i)^yes$"}'))

    async def refused() -> str:
        with pytest.raises(Poison, match="cannot follow the schema") as refusal:
            _ = [each async for each in generator.generate(engine.digest, PROMPT, broken, 60.0)]
        return refusal.value.code

    other = generator.generate(engine.digest, "Count: 1 2 3 4 5 6 7 8 9 10 11", sampling(60), 60.0)
    pieces = [await anext(other)]
    codes = [await refused(), await refused()]
    pieces += [piece async for piece in other]

    finish = pieces[-1]
    assert codes == ["refused_by_engine"] * 2
    assert isinstance(finish, Finish)
    assert finish.completion_tokens == 60


async def test_without_the_token_no_engine_can_be_loaded(
    channel: grpc.aio.Channel,
    real_triton: RealTriton,
    store: FolderStore,
    engine: Engine,
    cache: Path,
) -> None:
    with pytest.raises(Poison, match="restricted"):
        await host(channel, real_triton, store, cache, token="wrong").load(engine)


async def test_a_prompt_is_embedded(channel: grpc.aio.Channel) -> None:
    embedder = triton.TritonEmbedder(channel, "embedding", 30.0)

    rows = await embedder.embed(
        ["Where is my bank card?", "My bank card has not arrived.", "Sort a list in Python."]
    )

    assert rows.shape == (3, 384)
    near, far = rows[0] @ rows[1], rows[0] @ rows[2]
    assert near > far + 0.2
    assert np.allclose(np.linalg.norm(rows, axis=1), 1.0, atol=1e-2)


async def test_a_routed_engine_is_loaded_answers_dies_comes_back_and_hangs(
    channel: grpc.aio.Channel, placed: TritonHost, engine: Engine
) -> None:
    loaded, journal, routing = LoadedEngines(), MemoryJournal(), MemoryRouting()
    generator = triton.TritonGenerator(channel)
    probes = Probes(generator, loaded)
    follow = FollowRouting(
        routing=routing,
        host=placed,
        generator=probes,
        loaded=loaded,
        journal=journal,
        replica="test",
        clock=SystemClock(),
        pace=Pace(),
        drop=generator.drop,
    )
    runner = Runner(generator, loaded, journal, SystemClock(), follow.suspect)
    answer = Answer(runner, Admit(Admission(8), SystemClock()), lambda *_: None, 600.0)
    release = Release("r" * 64, engine, "{{ question }}", Decoding(1500, 0.0, 1.0, 1))
    table = Table("t", 1, frozenset(), "s", "c", (Route(release, Role.CHAMPION, 1.0),))
    request = Ask((Message("user", "What is the capital of France?"),), max_tokens=24)
    stop = asyncio.Event()
    serving = asyncio.create_task(follow.serve(stop))
    await asyncio.sleep(0)

    routing.set(table)
    await eventually(lambda: loaded.ready(engine.digest), "the engine", within_s=120)
    text, finish = await answer.whole(await answer.begin(table, request))

    assert text.strip()
    assert finish.completion_tokens > 0
    assert journal.served[0].mean_logprob < 0

    story = Ask((Message("user", "Tell me a very long story about the sea."),))
    told = loaded.answered(engine.digest)
    running = asyncio.create_task(answer.whole(await answer.begin(table, story)))
    await eventually(lambda: loaded.answered(engine.digest) > told + 2, "a story", within_s=60)
    probes.while_ready = 0
    (kept,) = (placed.model_repository / engine.model_name / "1" / "kept").iterdir()
    made_ns = kept.stat().st_mtime_ns
    for process in processes_of(placed, engine):
        process.kill()
    await eventually(lambda: not loaded.ready(engine.digest), "the death", within_s=60)
    assert probes.while_ready <= MOST_PROBES
    with pytest.raises(EngineFailed) as failure:  # long before its 600 s are over
        await asyncio.wait_for(running, 60)
    assert failure.value.code == "engine_down"
    await eventually(lambda: loaded.ready(engine.digest), "the return", within_s=120)
    again, _ = await answer.whole(await answer.begin(table, request))

    assert again == text
    assert kept.stat().st_mtime_ns == made_ns  # half of the load is not done again
    probes.while_ready = 0
    hung = processes_of(placed, engine)  # nobody asks it anything now
    for process in hung:
        process.suspend()
    await eventually(lambda: not loaded.ready(engine.digest), "that it hangs", within_s=60)
    assert probes.while_ready <= MOST_PROBES
    stop.set()
    await serving
    for process in hung:
        process.kill()


async def test_an_engine_that_has_answered_can_be_unloaded_and_its_process_ends(
    channel: grpc.aio.Channel,
    real_triton: RealTriton,
    store: FolderStore,
    engine: Engine,
    cache: Path,
) -> None:
    other = Engine("0ff1ce" * 10 + "abcd", engine.weights, engine.tokenizer, engine.chat_template)
    placing = host(channel, real_triton, store, cache)
    generator = triton.TritonGenerator(channel)
    await placing.load(other)
    _ = [piece async for piece in generator.generate(other.digest, PROMPT, sampling(), 60.0)]
    assert processes_of(placing, other)
    assert other.digest[:16] in await placing.present()

    await placing.unload(other.digest[:16])

    await eventually(
        lambda: not processes_of(placing, other), "the end of its process", within_s=30
    )


def processes_of(host: TritonHost, engine: Engine) -> list[psutil.Process]:
    """The python backend's processes that run ``engine`` for this host, of all that do."""
    model = str(host.model_repository / engine.model_name)
    return [
        process
        for process in psutil.process_iter(["cmdline"])
        if any(model in part for part in process.info["cmdline"] or ())
    ]
