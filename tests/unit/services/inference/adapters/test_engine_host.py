import asyncio
import hashlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from libs.artifacts.memory import MemoryStore
from libs.faults import Poison, Retryable
from services.inference.adapters import triton
from services.inference.adapters.engine_host import TritonHost
from services.inference.adapters.room import Room
from services.inference.domain.release import Engine, File
from tests.ports import free_port
from tests.unit.services.inference.adapters.test_gpu_model import HERE, packed
from tests.unit.services.inference.triton_twin import TritonTwin, serving

TEMPLATES = Path(__file__).parents[5] / "infra" / "triton" / "llm"


@dataclass
class World:
    twin: TritonTwin
    store: MemoryStore
    host: TritonHost
    root: Path

    def engine(self, digest: str = "ab" * 32, content: bytes = b"GGUF") -> Engine:
        def stored(data: bytes) -> File:
            found = self.store.put(data, "application/octet-stream")
            return File(found.uri, found.sha256, found.size_bytes, found.media_type)

        return Engine(digest, stored(content), stored(b"{}"), "")


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    templates = tmp_path / "templates"
    (templates / "1").mkdir(parents=True)
    (templates / "1" / "model.py").write_text("# the model\n")
    (templates / "config.pbtxt").write_text('name: "${name}" gguf "${gguf}" gb ${cache_size_gb}')
    (tmp_path / "repository").mkdir()
    twin, store = TritonTwin(), MemoryStore()
    async with serving(twin) as address, triton.connect(address) as channel:
        host = TritonHost(
            channel=channel,
            token=twin.token,
            store=store,
            templates=templates,
            model_repository=tmp_path / "repository",
            cache=tmp_path / "engines",
            cache_size_gb=0.3,
            timeout_s=5.0,
            room=Room(0, 0, lambda: 2**40),
        )
        yield World(twin, store, host, tmp_path)


async def test_a_loaded_engine_has_its_files_and_its_model_directory(world: World) -> None:
    engine = world.engine()

    await world.host.load(engine)

    gguf = world.root / "engines" / engine.digest[:16] / "model.gguf"
    model = world.root / "repository" / engine.model_name
    assert gguf.read_bytes() == b"GGUF"
    assert (model / "config.pbtxt").read_text() == (
        f'name: "{engine.model_name}" gguf "{gguf}" gb 0.3'
    )
    assert (model / "1" / "model.py").exists()
    assert world.twin.models == {engine.model_name}
    assert [path.name for path in model.parent.iterdir()] == [engine.model_name]


async def test_how_an_engine_was_loaded_outlives_the_process(world: World) -> None:
    engine = world.engine()
    config = 'parameters { key: "prefix_reuse" value: { string_value: "${prefix_reuse}" } }'
    (world.host.templates / "config.pbtxt").write_text(config)
    assert world.host.suits(engine.digest, reuse=False)

    await world.host.load(engine, reuse=True)

    for each in (world.host, replace(world.host, _reuse={})):
        assert each.suits(engine.digest, reuse=True)
        assert not each.suits(engine.digest, reuse=False)


async def test_what_a_model_kept_for_its_next_load_stays(world: World) -> None:
    engine = world.engine()
    await world.host.load(engine)
    version = world.root / "repository" / engine.model_name / "1"
    (version / "kept" / "7.0").mkdir(parents=True)
    (version / "else").touch()

    await world.host.load(engine)

    assert {path.name for path in version.iterdir()} == {"__pycache__", "model.py", "kept"}
    assert (version / "kept" / "7.0").exists()


async def test_files_that_are_here_are_not_fetched_again(world: World) -> None:
    engine = world.engine()
    await world.host.load(engine)
    world.store.objects.clear()

    await world.host.load(engine)


async def test_a_damaged_file_is_fetched_again(world: World) -> None:
    engine = world.engine()
    await world.host.load(engine)
    gguf = world.root / "engines" / engine.digest[:16] / "model.gguf"
    gguf.write_bytes(b"GGUX")

    await world.host.load(engine)

    assert hashlib.sha256(gguf.read_bytes()).hexdigest() == engine.weights.sha256


async def test_a_disc_that_takes_no_file_is_poison_and_leaves_nothing_half_done(
    world: World,
) -> None:
    (world.root / "engines").write_text("in the way")

    with pytest.raises(Poison) as refusal:
        await world.host.load(world.engine())

    assert refusal.value.code == "disk"
    assert list((world.root / "repository").iterdir()) == []


async def test_weights_that_nobody_has_are_poison(world: World) -> None:
    engine = world.engine()
    world.store.objects.clear()

    with pytest.raises(Poison) as refusal:
        await world.host.load(engine)

    assert refusal.value.code == "artifact_missing"
    assert list((world.root / "repository").iterdir()) == []


async def test_an_engine_that_triton_cannot_load_is_poison(world: World) -> None:
    engine = world.engine("0123456789broken" + "0" * 48)

    with pytest.raises(Poison) as refusal:
        await world.host.load(engine)

    assert refusal.value.code == "engine_refused"


async def test_an_engine_that_does_not_fit_is_refused_and_the_loaded_one_stays(
    world: World,
) -> None:
    loaded = world.engine()
    await world.host.load(loaded)
    world.host.room.available = lambda: 0

    with pytest.raises(Poison) as refusal:
        await world.host.load(world.engine("cd" * 32))

    assert refusal.value.code == "no_memory"
    assert world.twin.models == {loaded.model_name}
    assert [path.name for path in (world.root / "repository").iterdir()] == [loaded.model_name]


async def test_a_wrong_token_is_poison_and_not_waited_for(world: World) -> None:
    world.twin.token = "another"

    with pytest.raises(Poison):
        await world.host.load(world.engine())


async def test_a_triton_that_is_away_is_waited_for_before_anything_is_laid_out(
    world: World,
) -> None:
    async with triton.connect("127.0.0.1:1") as nowhere:
        host = replace(world.host, channel=nowhere, reach_s=0.05)
        with pytest.raises(Retryable):
            await host.load(world.engine())

    assert not (world.root / "engines").exists()


async def test_a_triton_that_comes_back_meanwhile_is_asked(world: World) -> None:
    port = free_port()
    async with triton.connect(f"127.0.0.1:{port}") as channel:
        loading = asyncio.create_task(replace(world.host, channel=channel).load(world.engine()))
        await asyncio.sleep(0)
        async with serving(world.twin, port):
            await loading

    assert world.twin.models == {world.engine().model_name}


async def test_an_unloaded_engine_leaves_no_directory_but_its_files(world: World) -> None:
    engine = world.engine()
    await world.host.load(engine)

    await world.host.unload(engine.digest)

    assert world.twin.models == set()
    assert list((world.root / "repository").iterdir()) == []
    assert (world.root / "engines" / engine.digest[:16] / "model.gguf").exists()


async def test_present_is_what_is_loaded_or_laid_out(world: World) -> None:
    await world.host.load(world.engine())
    world.twin.models.add("llm-0123456789abcdef")
    (world.root / "repository" / "llm-fedcba9876543210").mkdir()

    present = await world.host.present()

    assert present == {"ab" * 8, "0123456789abcdef", "fedcba9876543210"}


async def test_a_gpu_engine_is_unpacked_whole_or_not_at_all(world: World) -> None:
    tar = packed(world.root / "engine.tar").read_bytes()
    engine = replace(world.engine("90" * 32, tar), runtime="tensorrt-llm")
    other = replace(world.engine("91" * 32, tar[:600]), runtime="tensorrt-llm")

    world.host = replace(world.host, gpus=HERE)
    await world.host.load(engine)
    with pytest.raises(Poison) as refusal:
        await world.host.load(other)

    model = world.root / "repository" / engine.model_name
    assert refusal.value.code == "bad_engine"
    assert world.twin.models == {engine.model_name}
    assert (model / "1" / "model.py").read_text() == "# the model"
    assert f'name: "{engine.model_name}"' in (model / "config.pbtxt").read_text()
    assert [path.name for path in model.parent.iterdir()] == [engine.model_name]


async def test_a_gpu_engine_is_refused_before_it_is_fetched_where_there_are_no_gpus(
    world: World,
) -> None:
    engine = replace(world.engine("92" * 32), runtime="tensorrt-llm")

    with pytest.raises(Poison) as refusal:
        await world.host.load(engine)

    assert refusal.value.code == "engine_mismatch"
    assert not (world.root / "engines").exists()


async def test_only_the_newest_idle_engines_keep_their_files(world: World) -> None:
    for number in range(7):
        engine = world.engine(f"{number:064x}"[::-1], content=b"GGUF%d" % number)
        await world.host.load(engine)
        await world.host.unload(engine.digest)

    assert len(list((world.root / "engines").iterdir())) <= 5


def test_the_template_has_the_variables_that_are_filled_in() -> None:
    text = (TEMPLATES / "config.pbtxt").read_text()

    for name in ("name", "gguf", "tokenizer", "cache_size_gb"):
        assert f"${{{name}}}" in text
