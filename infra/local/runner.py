"""The runner process: keeps what ``wanted.json`` names alive until it is told to stop."""

import fcntl
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from infra.local import tree
from infra.local.board import Board
from infra.local.files import read_json, write_json
from infra.local.home import Home
from infra.local.keeper import Keeper
from infra.local.plan import plan
from infra.local.ports import Ports

RUNNER: Final = "runner"
LOOK_EVERY_S: Final = 0.2


def supervise(home: Home) -> int:
    """Runs until SIGTERM or SIGINT; a second runner of the same home leaves at once."""
    with only_runner(home) as first:
        if not first:
            print("another runner keeps this stack", file=sys.stderr)
            return 1
        tree.end(lambda: tree.marked(home.mark()), within_s=2.0)  # left by a killed runner
        with Ports.of(home) as ports:
            processes = plan(home, ports)
            endpoints = {k: v for process in processes for k, v in process.addresses.items()}
            write_json(home.endpoints_file, endpoints)
            board = Board(home, processes)
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, lambda *_: threading.Thread(target=board.close).start())
            keepers = [Keeper(process, home, board) for process in processes]
            threads = [threading.Thread(target=keeper.run) for keeper in keepers]
            follow_wishes(home, board, threads)
    return 0


def follow_wishes(home: Home, board: Board, threads: list[threading.Thread]) -> None:
    """Hands every new ``wanted.json`` to the board; returns when all parts have stopped."""
    seen: object = None
    for thread in threads:
        thread.start()
    while not board.closing:
        wanted = read_json(home.wanted_file)
        if wanted is not None and wanted != seen:
            seen = wanted
            board.want(wanted)
        time.sleep(LOOK_EVERY_S)
    for thread in threads:
        thread.join()
    home.state_file.unlink(missing_ok=True)
    home.wanted_file.unlink(missing_ok=True)  # one that stays tells of a runner that was killed


@contextmanager
def only_runner(home: Home) -> Iterator[bool]:
    """Holds the lock that ends with its process, however that ends."""
    with home.runner_lock.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        yield True


def is_running(home: Home) -> bool:
    return bool(tree.marked(home.mark(RUNNER)))
