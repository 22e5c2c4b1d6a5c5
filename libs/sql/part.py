"""A service's store as a Part."""

import asyncio
from typing import Self

from sqlalchemy.engine import Engine

from libs.runtime.service import Part
from libs.sql.migrate import upgrade


class Database(Part):
    """Up to date before what comes after it reads; its connections are closed at the end."""

    name = "database"

    def __init__(self, engine: Engine, package: str) -> None:
        self._engine = engine
        self._package = package

    async def __aenter__(self) -> Self:
        await asyncio.to_thread(upgrade, self._engine, self._package)
        return self

    async def __aexit__(self, *_: object) -> None:
        await asyncio.to_thread(self._engine.dispose)

    async def serve(self, stop: asyncio.Event) -> None:
        await stop.wait()

    def unready(self) -> str | None:
        return None
