import asyncio
from pathlib import Path

import psutil
import pytest

from libs.faults import Poison
from services.inference.adapters.room import (
    GIB,
    PROCESS_BYTES,
    Room,
    available_bytes,
    resident_bytes,
)
from services.inference.domain.release import Engine, File

MIB = 1024 * 1024


def engine(digest: str, size_bytes: int = 100 * MIB) -> Engine:
    file = File("s3://memory/x", "x", size_bytes, "application/octet-stream")
    return Engine(digest, file, file, "")


async def fits(room: Room, asked: Engine) -> bool:
    try:
        async with room.taken(asked):
            return True
    except Poison as refusal:
        return refusal.code != "no_memory"


async def test_an_engine_that_does_not_fit_beside_the_reserve_is_refused() -> None:
    room = Room(cache_bytes=GIB, reserve_bytes=GIB, available=lambda: 2 * GIB)

    assert not await fits(room, engine("a"))


async def test_what_is_loading_counts_until_it_is_loaded() -> None:
    room = Room(cache_bytes=0, reserve_bytes=0, available=lambda: 3 * PROCESS_BYTES)

    async with room.taken(engine("a")):
        assert not await fits(room, engine("b"))
    assert await fits(room, engine("b"))


async def test_of_loads_that_begin_together_only_those_that_fit_go_on() -> None:
    room = Room(cache_bytes=0, reserve_bytes=0, available=lambda: 3 * PROCESS_BYTES)
    both_asked = asyncio.Barrier(2)

    async def load(digest: str) -> bool:
        try:
            async with room.taken(engine(digest)):
                await both_asked.wait()
        except Poison:
            await both_asked.wait()
            return False
        return True

    assert sorted(await asyncio.gather(load("a"), load("b"))) == [False, True]


@pytest.mark.parametrize(
    ("resident", "copies", "fitting"),
    [(0, 1, False), (400 * MIB, 1, False), (GIB + 386 * MIB, 1, True), (GIB + 386 * MIB, 2, False)],
)
async def test_the_cache_that_a_loaded_engine_has_not_touched_is_not_free(
    resident: int, copies: int, fitting: bool
) -> None:
    room = Room(
        cache_bytes=GIB,
        reserve_bytes=0,
        available=lambda: 2 * GIB - 386 * MIB,
        loaded=lambda: [engine("a")] * copies,
        resident=lambda _: resident,
    )

    assert await fits(room, engine("b")) is fitting


def test_a_process_is_found_by_the_model_that_it_runs() -> None:
    assert resident_bytes(psutil.Process().cmdline()[-1]) > MIB
    assert resident_bytes("llm-of-nobody-at-all") == 0


def test_the_control_group_bounds_what_is_available(tmp_path: Path) -> None:
    (tmp_path / "memory.max").write_text(f"{100 * MIB}\n")
    (tmp_path / "memory.current").write_text(f"{90 * MIB}\n")
    (tmp_path / "memory.stat").write_text(f"anon 5\ninactive_file {30 * MIB}\n")

    assert available_bytes(tmp_path) == 40 * MIB


def test_without_a_limit_the_machine_decides(tmp_path: Path) -> None:
    (tmp_path / "memory.max").write_text("max\n")
    (tmp_path / "memory.current").write_text("5\n")
    (tmp_path / "memory.stat").write_text("inactive_file 1\n")

    assert available_bytes(tmp_path) > MIB
