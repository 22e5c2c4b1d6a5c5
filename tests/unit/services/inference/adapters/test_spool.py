import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from libs.faults import Fatal
from services.inference.adapters.spool import Spool, adopt
from services.inference.ports import Entry, SpoolFull


def entry(number: int, size: int = 10) -> Entry:
    return Entry("inference.generation-served.v1", f"id-{number}", b"x" * size)


def ids(spool: Spool, most: int = 1000) -> list[str]:
    return [one.event_id for one in spool.read(most)[0]]


def test_entries_are_read_in_the_order_of_appending(tmp_path: Path) -> None:
    spool = Spool(tmp_path, 10_000)
    for number in range(3):
        spool.append(entry(number))

    entries, _ = spool.read(10)

    assert entries == [entry(0), entry(1), entry(2)]


def test_what_is_not_committed_is_read_again(tmp_path: Path) -> None:
    spool = Spool(tmp_path, 10_000)
    for number in range(3):
        spool.append(entry(number))
    _, position = spool.read(2)

    assert ids(spool) == ["id-0", "id-1", "id-2"]
    spool.commit(position)
    assert ids(spool) == ["id-2"]


def test_a_new_process_goes_on_at_the_cursor(tmp_path: Path) -> None:
    spool = Spool(tmp_path, 10_000)
    for number in range(3):
        spool.append(entry(number))
    spool.commit(spool.read(1)[1])
    spool.close()

    again = Spool(tmp_path, 10_000)
    again.append(entry(3))

    assert ids(again) == ["id-1", "id-2", "id-3"]


def test_the_half_record_of_a_killed_append_is_passed_over(tmp_path: Path) -> None:
    spool = Spool(tmp_path, 10_000)
    spool.append(entry(0))
    spool.append(entry(1))
    spool.close()
    last = max(tmp_path.glob("*.spool"))
    last.write_bytes(last.read_bytes()[:-4])

    again = Spool(tmp_path, 10_000)
    again.append(entry(2))

    assert ids(again) == ["id-0", "id-2"]


def test_segments_roll_and_are_deleted_once_delivered(tmp_path: Path) -> None:
    spool = Spool(tmp_path, 100_000, segment_bytes=200)
    for number in range(20):
        spool.append(entry(number))
    assert len(list(tmp_path.glob("*.spool"))) > 3

    got: list[str] = []
    while batch := spool.read(3)[0]:
        got += [one.event_id for one in batch]
        spool.commit(spool.read(3)[1])

    assert got == [f"id-{number}" for number in range(20)]
    assert spool.pending_bytes() == 0
    assert len(list(tmp_path.glob("*.spool"))) == 1


def test_above_the_bound_an_entry_is_refused_until_room_is_made(tmp_path: Path) -> None:
    spool = Spool(tmp_path, 1000, segment_bytes=300)
    record = 8 + 4 + len(entry(0).topic) + len("id-0") + 10
    for number in range(1000 // record):
        spool.append(entry(number))
    with pytest.raises(SpoolFull):
        spool.append(entry(99))

    spool.commit(spool.read(5)[1])
    spool.append(entry(99))

    assert ids(spool)[-1] == "id-99"


def test_a_refused_write_leaves_nothing_of_the_entry(tmp_path: Path) -> None:
    spool = Spool(tmp_path, 10_000_000)
    spool.append(entry(0))
    before = spool.pending_bytes()
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (before + 100, limit[1]))
    try:
        with pytest.raises(OSError, match=r"short write|too large"):
            spool.append(entry(1, size=5000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    spool.append(entry(2))

    assert ids(spool) == ["id-0", "id-2"]


def test_damage_in_the_middle_does_not_stop_later_segments(tmp_path: Path) -> None:
    spool = Spool(tmp_path, 10_000)
    spool.append(entry(0))
    spool.append(entry(1))
    spool.close()
    last = max(tmp_path.glob("*.spool"))
    data = bytearray(last.read_bytes())
    data[20] ^= 0xFF
    last.write_bytes(data)

    again = Spool(tmp_path, 10_000)
    again.append(entry(2))

    assert ids(again) == ["id-2"]


def test_two_processes_cannot_share_a_spool(tmp_path: Path) -> None:
    spool = Spool(tmp_path, 10_000)

    with pytest.raises(Fatal):
        Spool(tmp_path, 10_000)

    spool.close()


def test_an_unreadable_cursor_repeats_rather_than_loses(tmp_path: Path) -> None:
    spool = Spool(tmp_path, 10_000)
    spool.append(entry(0))
    spool.commit(spool.read(1)[1])
    spool.append(entry(1))
    spool.close()
    (tmp_path / "cursor").write_text("{half")

    assert ids(Spool(tmp_path, 10_000)) == ["id-0", "id-1"]


def test_a_killed_process_loses_nothing_that_it_had_appended(tmp_path: Path) -> None:
    script = (
        "import sys\n"
        "from pathlib import Path\n"
        "from services.inference.adapters.spool import Spool\n"
        "from services.inference.ports import Entry\n"
        "spool = Spool(Path(sys.argv[1]), 10**8)\n"
        "number = 0\n"
        "while True:\n"
        "    spool.append(Entry('t', f'id-{number}', b'x' * 500))\n"
        "    print(number, flush=True)\n"
        "    number += 1\n"
    )
    root = Path(__file__).parents[5]
    child = subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root)},
    )
    assert child.stdout is not None
    for _ in range(200):
        child.stdout.readline()
    child.kill()
    told = [int(line) for line in child.stdout.read().split("\n")[:-1] if line]
    child.wait()

    found = ids(Spool(tmp_path, 10**8), most=1_000_000)

    last = max(told, default=199)
    assert found[: last + 1] == [f"id-{number}" for number in range(last + 1)]


def test_a_spool_takes_over_what_a_process_that_is_no_more_has_left(tmp_path: Path) -> None:
    left = Spool(tmp_path / "workers" / "2" / "spool", 100_000)
    for number in range(600):
        left.append(entry(number, size=1))
    left.commit(left.read(1)[1])
    left.close()
    spool = Spool(tmp_path / "spool", 1024 * 1024)

    adopt(spool, tmp_path / "workers" / "2" / "spool")

    assert ids(spool) == [f"id-{number}" for number in range(1, 600)]
    assert not (tmp_path / "workers" / "2" / "spool").exists()


def test_what_does_not_fit_is_left_for_the_next_start(tmp_path: Path) -> None:
    left = Spool(tmp_path / "left", 100_000)
    for number in range(400):
        left.append(entry(number))
    left.close()

    first = Spool(tmp_path / "first", 25_000)
    adopt(first, tmp_path / "left")
    second = Spool(tmp_path / "second", 100_000)
    adopt(second, tmp_path / "left")

    assert set(ids(first)) | set(ids(second)) == {f"id-{number}" for number in range(400)}
    assert not (tmp_path / "left").exists()


def test_a_spool_that_is_used_is_not_taken_over(tmp_path: Path) -> None:
    Spool(tmp_path / "left", 10_000)

    with pytest.raises(Fatal, match="used by another process"):
        adopt(Spool(tmp_path / "spool", 10_000), tmp_path / "left")
