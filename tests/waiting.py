"""Waiting in tests: for something to become true, with a deadline, saying what was awaited."""

import inspect
import time
from collections.abc import Callable


def eventually(happened: Callable[[], bool], within_s: float, every_s: float = 0.1) -> None:
    """Asks until it is true.

    Raises:
        AssertionError: it was still false after ``within_s`` seconds.
    """
    end = time.monotonic() + within_s
    while not happened():
        if time.monotonic() > end:
            source = inspect.getsource(happened).strip()
            raise AssertionError(f"not within {within_s:.0f} s: {source}")
        time.sleep(every_s)
