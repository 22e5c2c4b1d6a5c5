"""The stored states for those who only look at them."""

from threading import Lock
from typing import Final

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

from libs.sql.engine import reader
from services.monitor.adapters.sql import APPLICATIONS, Read, read
from services.monitor.domain.application import Application

MOST_BYTES: Final = 256 * 2**20
"""Of stored states that are kept; a release with 384-dimensional embeddings takes about 1.7 MB."""


class Shelf:
    """`ports.Look`: reads and thaws a state once for each version that is asked for.

    The versions are asked of the store each time, so a state is seen as soon as it is stored.
    The fold has copies of its own: nothing changes a state that stands here.
    """

    def __init__(self, engine: Engine, most_bytes: int = MOST_BYTES) -> None:
        self._reader = reader(engine)
        self._most = most_bytes
        self._kept: dict[str, Read] = {}
        self._size = 0
        self._lock = Lock()

    def __call__(self, name: str = "", /) -> list[Application]:
        query = sa.select(APPLICATIONS.c.name, APPLICATIONS.c.version)
        if name:
            query = query.where(APPLICATIONS.c.name == name)
        with self._lock, self._reader.connect() as connection:
            rows = connection.execute(query).all()
            newest = sorted((str(row.name), int(row.version)) for row in rows)
            found = [self._one(connection, *each) for each in newest]
        return [each.state for each in found if each is not None]

    def _one(self, connection: Connection, name: str, version: int) -> Read | None:
        found = self._kept.pop(name, None)
        self._size -= found.size if found else 0
        if found is None or found.version != version:
            found = read(connection, name)
        if found is not None:
            self._kept[name] = found
            self._size += found.size
        while self._size > self._most:  # those that were not asked for the longest
            self._size -= self._kept.pop(next(iter(self._kept))).size
        return found
