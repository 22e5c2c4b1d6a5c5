"""Datasets that are asked for, in SQL."""

from collections.abc import Iterable

import sqlalchemy as sa
from sqlalchemy.engine import Engine

from libs.sql.engine import reader
from protos.preprocessing.v1.preprocessing_events_pb2 import DatasetRequested, DatasetVersioned
from services.preprocessing.adapters.lookups import KEPT, entry_of
from services.preprocessing.adapters.rows import send_answer
from services.preprocessing.adapters.tables import RECORDS, REQUESTS
from services.preprocessing.domain.cut import PairRow
from services.preprocessing.domain.rows import Kind, Side
from services.preprocessing.ports import Answer

PAIRS = (Kind.EXAMPLE.value, Kind.EVALUATION_CASE.value)


class SqlRequests:
    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._reader = reader(engine)

    def pending(self) -> list[DatasetRequested]:
        waiting = sa.select(REQUESTS.c.request).where(REQUESTS.c.answer_kind == "")
        with self._reader.connect() as connection:
            found = connection.execute(waiting.order_by(REQUESTS.c.campaign_id)).scalars()
            return [DatasetRequested.FromString(request) for request in found]

    def pairs(self, application: str) -> Iterable[PairRow]:
        r = RECORDS.c
        kept = sa.select(RECORDS).where(
            r.application == application, r.state == KEPT, r.kind.in_(PAIRS)
        )
        with self._reader.connect() as connection:
            for line in connection.execute(kept.execution_options(yield_per=1000)):
                entry = entry_of(line)
                yield PairRow(
                    record_id=entry.record_id,
                    kind=entry.kind,
                    collection=entry.collection,
                    side=Side(line.side),
                    prompt=entry.contents["prompt"],
                    answer=entry.contents["answer"],
                    prompt_digest=line.prompt_digest,
                    group=entry.group,
                    subject=entry.subject,
                    labels=entry.labels,
                    source=entry.source,
                    language=line.language,
                    occurred_at=entry.occurred_at,
                )

    def answer(self, request: DatasetRequested, answer: Answer) -> None:
        kind = "versioned" if isinstance(answer, DatasetVersioned) else "refused"
        value = answer.SerializeToString()
        unanswered = sa.and_(
            REQUESTS.c.campaign_id == request.campaign_id, REQUESTS.c.answer_kind == ""
        )
        with self._engine.begin() as connection:
            stored = connection.execute(
                REQUESTS.update().where(unanswered).values(answer_kind=kind, answer=value)
            )
            if stored.rowcount:
                send_answer(connection, kind, value)
