"""Scored rows: content in the artifact store, index in SQL."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Final

import sqlalchemy as sa
import structlog
from sqlalchemy.engine import Engine

from libs.artifacts.store import ArtifactStore
from libs.faults import Poison
from libs.sql.engine import insert_once, reader
from services.evaluation import wire
from services.evaluation.adapters.files import JSON
from services.evaluation.adapters.tables import SCORES
from services.evaluation.domain.comparison import RowScore
from services.evaluation.domain.task import File

log = structlog.get_logger()

MAX_BYTES: Final = 256 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class ScoreCache:
    engine: Engine
    store: ArtifactStore

    def get(self, key: str) -> list[RowScore] | None:
        """None when the key is unknown, or its object is gone or damaged: score again."""
        wanted = sa.select(SCORES).where(SCORES.c.key == key)
        with reader(self.engine).connect() as connection:
            row = connection.execute(wanted).first()
        if row is None:
            return None
        try:
            kept = File(row.uri, row.sha256, row.size_bytes, row.media_type)
            return wire.load_scores(self.store.get(wire.artifact(kept), MAX_BYTES))
        except Poison as error:
            log.warning("scores.unusable", key=key, code=error.code)
            with self.engine.begin() as connection:
                connection.execute(SCORES.delete().where(SCORES.c.key == key))
            return None

    def put(self, key: str, scores: Sequence[RowScore]) -> None:
        kept = wire.file(self.store.put(wire.dump_scores(scores), JSON))
        with self.engine.begin() as connection:
            insert_once(connection, SCORES, {"key": key, **asdict(kept)})
