"""A keeper starts, watches, restarts and stops one real process (``sh`` and ``sleep`` here)."""

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from infra.local import tree
from infra.local.board import Board
from infra.local.home import Home
from infra.local.keeper import Keeper
from infra.local.process import Probe, Process
from tests.waiting import eventually

ONCE = Probe("exit")


class Stage:
    """Keepers on threads, over a board of their own."""

    def __init__(self, home: Home, *processes: Process) -> None:
        self.home = home
        self.board = Board(home, processes)
        keepers = [Keeper(process, home, self.board) for process in processes]
        self.threads = [threading.Thread(target=keeper.run, daemon=True) for keeper in keepers]
        for thread in self.threads:
            thread.start()

    def state(self, name: str) -> str:
        return self.board.status(name).state

    def close(self) -> None:
        self.board.close()
        for thread in self.threads:
            thread.join(timeout=30)


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    home = Home(tmp_path)
    home.make()
    yield home
    tree.end(lambda: tree.marked(home.mark()), within_s=1)


def shell(name: str, script: str, **more: object) -> Process:
    return Process(name=name, command=("sh", "-c", script), probe=ONCE, **more)  # type: ignore[arg-type]


def test_a_part_starts_only_after_what_it_needs_was_ready(home: Home, tmp_path: Path) -> None:
    first = shell("first", f"echo first >> {tmp_path}/order")
    second = shell("second", f"echo second >> {tmp_path}/order", needs=("first",))
    stage = Stage(home, second, first)

    stage.board.want({"second": 1, "first": 1})
    eventually(lambda: stage.state("second") == "ready", within_s=20)
    stage.close()

    assert (tmp_path / "order").read_text().split() == ["first", "second"]


def test_a_part_that_never_gets_ready_is_given_up_and_says_how_it_ended(home: Home) -> None:
    stage = Stage(home, shell("bad", "echo no such thing; exit 7"))

    stage.board.want({"bad": 1})
    eventually(lambda: stage.state("bad") == "failed", within_s=30)
    status = stage.board.status("bad")
    stage.close()

    assert status.why == "ended with status 7 before it was ready"
    assert home.log("bad").read_text().count("no such thing") == 3


def test_another_wish_starts_a_given_up_part_again(home: Home, tmp_path: Path) -> None:
    stage = Stage(home, shell("late", f"test -e {tmp_path}/now"))
    stage.board.want({"late": 1})
    eventually(lambda: stage.state("late") == "failed", within_s=30)

    (tmp_path / "now").touch()
    stage.board.want({"late": 2})
    eventually(lambda: stage.state("late") == "ready", within_s=20)
    stage.close()

    assert stage.board.status("late").generation == 2 or stage.state("late") == "stopped"


def test_a_stopped_part_takes_children_of_another_session_with_it(home: Home) -> None:
    daemon = f"{sys.executable} -c 'import os, time; os.setsid(); time.sleep(300)' & sleep 300"
    stage = Stage(home, shell("parent", daemon, ready_within_s=60))
    stage.board.want({"parent": 1})
    eventually(lambda: len(tree.marked(home.mark("parent"))) >= 3, within_s=20)

    stage.board.want({})
    eventually(lambda: stage.state("parent") == "stopped", within_s=20)
    stage.close()

    assert tree.marked(home.mark("parent")) == []


def test_only_our_own_processes_are_found_by_the_mark(home: Home, tmp_path: Path) -> None:
    other = Home(tmp_path / "other")
    other.make()
    stage = Stage(other, shell("theirs", "sleep 300"))
    stage.board.want({"theirs": 1})
    eventually(lambda: len(tree.marked(other.mark("theirs"))) >= 1, within_s=20)

    ours = tree.marked(home.mark())
    stage.close()

    assert ours == []
    assert psutil.pid_exists(1)


def test_a_dead_process_that_nobody_has_looked_at_is_not_waited_for() -> None:
    script = "import subprocess as s, time; print(s.Popen(['sleep', '300']).pid, flush=True); "
    with subprocess.Popen(
        [sys.executable, "-c", f"{script}time.sleep(300)"], stdout=subprocess.PIPE
    ) as parent:
        assert parent.stdout is not None
        child = psutil.Process(int(parent.stdout.readline()))
        began_s = time.monotonic()

        tree.end(lambda: [child] if child.status() != psutil.STATUS_ZOMBIE else [], within_s=20)

        parent.kill()
        assert time.monotonic() - began_s < 20
