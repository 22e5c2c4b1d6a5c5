"""An event loop whose time jumps to the next timer instead of waiting for it."""

import asyncio
import selectors
from collections.abc import Coroutine
from datetime import UTC, datetime
from typing import Any


class FastForward(asyncio.SelectorEventLoop):
    """Also a `Clock` of that time."""

    def __init__(self) -> None:
        self.elapsed_s = 0.0
        super().__init__(_Jumping(self))

    def time(self) -> float:
        return self.elapsed_s

    monotonic = time

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.elapsed_s, UTC)


class _Jumping(selectors.SelectSelector):
    def __init__(self, loop: FastForward) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> Any:
        if timeout:
            self._loop.elapsed_s += timeout
        return super().select(0 if timeout else timeout)


def run(story: Coroutine[Any, Any, None]) -> None:
    with asyncio.Runner(loop_factory=FastForward) as runner:
        runner.run(story)


def clock() -> FastForward:
    """Of the story that runs."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, FastForward)
    return loop
