from pathlib import Path

import pytest

from libs.faults import Poison
from services.inference.adapters.room import GIB, PROCESS_BYTES, Room, available_bytes
from services.inference.domain.release import Engine, File

MIB = 1024 * 1024


def engine(digest: str, size_bytes: int = 100 * MIB) -> Engine:
    file = File("s3://memory/x", "x", size_bytes, "application/octet-stream")
    return Engine(digest, file, file, "")


def test_an_engine_that_does_not_fit_beside_the_reserve_is_refused() -> None:
    room = Room(cache_bytes=GIB, reserve_bytes=GIB, available=lambda: 2 * GIB)

    with pytest.raises(Poison) as refusal, room.taken(engine("a")):
        pass

    assert refusal.value.code == "no_memory"


def test_what_is_loading_counts_until_it_is_loaded() -> None:
    room = Room(cache_bytes=0, reserve_bytes=0, available=lambda: 3 * PROCESS_BYTES)

    with room.taken(engine("a")), pytest.raises(Poison), room.taken(engine("b")):
        pass
    with room.taken(engine("b")):
        pass


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
