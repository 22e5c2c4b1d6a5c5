"""One transaction per batch of the consumer loop."""

from typing import Final

from sqlalchemy.engine import Engine

from services.preprocessing.adapters.rows import SqlRows
from services.preprocessing.domain.intake import Prospect
from services.preprocessing.ports import Change, Count

FULL_CHARS: Final = 8_000_000
"""A batch with more text than this is committed before it grows: payloads may be large."""


class SqlLedger:
    """Used by one thread: the consumer loop's, which commits before its offsets move."""

    def __init__(self, engine: Engine, count: Count) -> None:
        self._engine = engine
        self._count = count
        self._changes: list[Change] = []
        self._prospects: list[Prospect] = []
        self._chars = 0

    def add(self, change: Change, prospect: Prospect | None = None) -> None:
        if self._chars > FULL_CHARS:
            self.commit()
        self._changes.append(change)
        if prospect is not None:
            self._prospects.append(prospect)
            self._chars += sum(map(len, prospect.entry.texts))

    def commit(self) -> None:
        if not self._changes:
            return
        with self._engine.begin() as connection:
            rows = SqlRows(connection, self._prospects)
            for change in self._changes:
                change(rows)
            rows.flush()
        for outcome in rows.counted:
            self._count(outcome)
        self._changes, self._prospects, self._chars = [], [], 0
