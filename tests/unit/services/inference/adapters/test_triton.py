"""The Triton adapter and the fake, under one contract."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from services.inference.adapters import triton
from services.inference.domain.generation import Delta, Finish, Sampling
from services.inference.ports import EngineFailed
from tests.unit.services.inference.fakes import FakeGenerator, answer_of, eventually
from tests.unit.services.inference.generator_contract import (
    PROMPT,
    GeneratorContract,
    Subject,
    collect,
)
from tests.unit.services.inference.triton_twin import TritonTwin, serving

DIGEST = "a1" * 32
MODEL = f"llm-{DIGEST[:16]}"


class TestFakeGenerator(GeneratorContract):
    @pytest.fixture
    def subject(self) -> Subject:
        fake = FakeGenerator({DIGEST})
        return Subject(fake, DIGEST, slow=lambda: setattr(fake, "delay_s", 1.0))


class TestTritonGenerator(GeneratorContract):
    @pytest.fixture
    def twin(self) -> TritonTwin:
        return TritonTwin(models={MODEL})

    @pytest.fixture
    async def subject(self, twin: TritonTwin) -> AsyncIterator[Subject]:
        async with serving(twin) as address, triton.connect(address) as channel:
            generator = triton.TritonGenerator(channel)
            yield Subject(generator, DIGEST, slow=lambda: setattr(twin, "delay_s", 1.0))

    async def test_every_tensor_of_the_contract_is_sent(
        self, subject: Subject, twin: TritonTwin
    ) -> None:
        wish = Sampling(5, temperature=0.5, top_p=0.25, seed=9, stop=("\n", "Ende"))

        _ = [p async for p in subject.generator.generate(DIGEST, "Grüße", wish, 5.0)]

        assert twin.seen == [
            {
                "text_input": ["Grüße"],
                "sampling_param_max_tokens": 5,
                "sampling_param_temperature": 0.5,
                "sampling_param_top_p": 0.25,
                "sampling_param_seed": 9,
                "sampling_param_stop": ["\n", "Ende"],
                "streaming": True,
                "delta": True,
                "apply_chat_template": False,
                "sampling_param_exclude_input_from_output": True,
                "return_finish_reason": True,
                "return_cumulative_logprob": True,
                "return_num_tokens": True,
            }
        ]

    async def test_the_deltas_join_to_the_text(self, subject: Subject) -> None:
        pieces = await collect(subject)

        assert "".join(p.text for p in pieces if isinstance(p, Delta)) == answer_of()
        assert pieces[-1] == Finish("stop", len(PROMPT.split()), 8, -4.0)

    async def test_a_dead_stub_is_an_engine_that_is_down(
        self, subject: Subject, twin: TritonTwin
    ) -> None:
        twin.dead.add(MODEL)

        with pytest.raises(EngineFailed) as failure:
            await collect(subject)

        assert failure.value.code == "engine_down"
        assert "Stub" not in str(failure.value)

    async def test_streams_of_a_dropped_engine_end_as_engine_down(self, twin: TritonTwin) -> None:
        twin.models.add("llm-" + "b" * 16)
        twin.delay_s = 0.05
        async with serving(twin) as address, triton.connect(address) as channel:
            generator = triton.TritonGenerator(channel)
            asked, other, leaving = (
                asyncio.create_task(collect(Subject(generator, digest, slow=lambda: None)))
                for digest in (DIGEST, "b" * 64, DIGEST)
            )
            await eventually(lambda: len(twin.seen) == 3, "three streams")
            leaving.cancel()
            await asyncio.wait({leaving})
            generator.drop(DIGEST)

            with pytest.raises(EngineFailed) as failure:
                await asked
            assert failure.value.code == "engine_down"
            assert leaving.cancelled()
            assert isinstance((await other)[-1], Finish)

    async def test_a_stream_that_ends_without_its_end_is_a_failure(
        self, subject: Subject, twin: TritonTwin
    ) -> None:
        twin.cut_short = True

        with pytest.raises(EngineFailed):
            await collect(subject)

    async def test_no_server_is_an_engine_that_is_down(self) -> None:
        async with triton.connect("127.0.0.1:1") as channel:
            subject = Subject(triton.TritonGenerator(channel), DIGEST, slow=lambda: None)
            with pytest.raises(EngineFailed) as failure:
                await collect(subject)

        assert failure.value.code == "engine_down"


async def test_texts_are_embedded_in_batches_in_their_order() -> None:
    texts = ["x" * size for size in range(1, 71)]

    async with serving(TritonTwin()) as address, triton.connect(address) as channel:
        rows = await triton.TritonEmbedder(channel, "embedding", 5.0).embed(texts)

    assert rows.shape == (70, 2)
    assert rows[:, 0].tolist() == [float(size) for size in range(1, 71)]
