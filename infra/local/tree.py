"""Processes found by their mark, ``PERENNIAL_RUN``, whoever their parent is by now."""

import os
import signal
import time
from collections.abc import Callable, Iterable
from typing import Final

import psutil

VARIABLE: Final = "PERENNIAL_RUN"
LOOK_EVERY_S: Final = 0.02


def marked(mark: str) -> list[psutil.Process]:
    """Living processes with exactly this mark; a mark ending in ``#`` means all of that home."""
    whole_home = mark.endswith("#")
    found = []
    for process in psutil.process_iter():
        try:
            value = process.environ().get(VARIABLE, "")  # empty for a zombie
        except psutil.Error:
            continue
        if process.pid == os.getpid() or not value:
            continue
        if value == mark or (whole_home and value.startswith(mark)):
            found.append(process)
    return found


def end(find: Callable[[], list[psutil.Process]], within_s: float) -> int:
    """Asks all of them to stop, waits, then kills; looks again, for children born meanwhile.

    Returns how many had to be killed.
    """
    _send(first := find(), signal.SIGTERM)
    _wait(first, within_s)
    killed = 0
    for _ in range(10):
        left = find()
        if not left:
            break
        killed += len(left)
        _send(left, signal.SIGKILL)
        _wait(left, 3.0)
    return killed


def _wait(processes: Iterable[psutil.Process], within_s: float) -> None:
    """For their ends. ``psutil.wait_procs`` would wait for zombies as well, until whoever
    inherited them looks."""
    ends_s = time.monotonic() + within_s
    while any(map(_lives, processes)) and time.monotonic() < ends_s:
        time.sleep(LOOK_EVERY_S)


def _lives(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def _send(processes: list[psutil.Process], number: signal.Signals) -> None:
    for process in processes:
        try:
            process.send_signal(number)
        except psutil.Error:
            continue
