"""A part that tells what happens to it."""

import asyncio
from types import TracebackType
from typing import Self


class Witness:
    """A part that writes down what happens to it."""

    def __init__(self, name: str, diary: list[str], error: Exception | None = None) -> None:
        self.name = name
        self._diary = diary
        self._error = error

    async def __aenter__(self) -> Self:
        self._diary.append(f"enter {self.name}")
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._diary.append(f"exit {self.name}")

    async def serve(self, stop: asyncio.Event) -> None:
        if self._error is not None:
            raise self._error
        await stop.wait()
        self._diary.append(f"drained {self.name}")

    def unready(self) -> str | None:
        return "warming" if self._error is None and self.name == "slow" else None
