"""Records and corrections become rows; requests become datasets."""

from dataclasses import dataclass

from libs.artifacts.store import ArtifactStore
from libs.events.delivery import Delivery
from libs.faults import Poison
from protos.feedback.v1.feedback_events_pb2 import FeedbackJoined
from protos.ingest.v1.ingest_events_pb2 import RecordReceived
from protos.preprocessing.v1.preprocessing_events_pb2 import DatasetRequested
from services.preprocessing import wire
from services.preprocessing.domain import cut, rules
from services.preprocessing.domain.intake import Row, judge, repaired
from services.preprocessing.domain.rows import Entry, Rejection
from services.preprocessing.domain.rules import Rules
from services.preprocessing.domain.similarity import fingerprint
from services.preprocessing.domain.split import side_of
from services.preprocessing.ports import Correction, Count, Languages, Ledger, Requests, Rows, Write

KEPT = "kept"
EVICTED = "held_out_by_evaluation_case"
REPLACED = "replaced_by_newer_feedback"
WITHDRAWN = "feedback_withdrawn"


@dataclass(frozen=True, slots=True)
class Prepare:
    """Takes one entry to its verdict: cleaned, judged, kept or rejected."""

    languages: Languages
    rules: Rules
    count: Count

    def __call__(self, rows: Rows, entry: Entry) -> bool:
        """Whether the entry became a row."""
        clean = repaired(entry)
        language = self.languages(" ".join(clean.texts))
        rejection = rules.objection(clean, language, self.rules)
        if rejection is not None:
            return self._reject(rows, entry, rejection)
        row = Row(clean, side_of(clean), language, fingerprint(clean))
        verdict = judge(row, rows.twins(clean.application, row.fingerprint))
        if isinstance(verdict, Rejection):
            return self._reject(rows, entry, verdict)
        for record_id in verdict.evicted:
            self.remove(rows, record_id, EVICTED)
        rows.keep(row)
        self.count(KEPT)
        return True

    def remove(self, rows: Rows, record_id: str, code: str) -> None:
        """Take a row out again, and say so."""
        if (event := rows.remove(record_id, code)) is not None:
            rows.announce(event)
            self.count(code)

    def _reject(self, rows: Rows, entry: Entry, rejection: Rejection) -> bool:
        rows.note_rejected(entry, rejection.code)
        rows.announce(wire.rejected(entry, rejection))
        self.count(rejection.code)
        return False


@dataclass(frozen=True, slots=True)
class OnRecordReceived:
    ledger: Ledger
    store: ArtifactStore
    prepare: Prepare

    def __call__(self, delivery: Delivery[RecordReceived]) -> None:
        entry = wire.entry_of_record(delivery, self._payload(delivery.event))
        with self.ledger.turn() as rows:
            if not rows.knows(entry.record_id):
                self.prepare(rows, entry)

    def _payload(self, event: RecordReceived) -> bytes | None:
        if not event.record.HasField("payload"):
            return None
        self.ledger.commit()  # nobody may wait for the database while we wait for the store
        return self.store.get(event.record.payload, wire.MAX_PAYLOAD_BYTES)


@dataclass(frozen=True, slots=True)
class OnFeedbackJoined:
    """A corrected answer is an example; its newest version counts."""

    ledger: Ledger
    prepare: Prepare

    def __call__(self, delivery: Delivery[FeedbackJoined]) -> None:
        event = delivery.event
        if not event.feedback_id or not event.application:
            raise Poison("the feedback has no id or no application", code="no_feedback_id")
        wire.check_names(event.feedback_id, event.application)
        entry = wire.entry_of_correction(delivery)
        with self.ledger.turn() as rows:
            known = rows.correction(event.application, event.feedback_id)
            if known is not None and known.version >= event.version:
                return
            if known is not None and known.record_id:
                code = WITHDRAWN if event.withdrawn else REPLACED
                self.prepare.remove(rows, known.record_id, code)
            kept = entry is not None and self.prepare(rows, entry)
            newest = Correction(event.version, entry.record_id if entry and kept else "")
            if known is not None or entry is not None or event.version > 1 or event.withdrawn:
                rows.set_correction(event.application, event.feedback_id, newest)


@dataclass(frozen=True, slots=True)
class OnDatasetRequested:
    """Queues the request: the cut waits until the rows before it are in."""

    ledger: Ledger

    def __call__(self, delivery: Delivery[DatasetRequested]) -> None:
        event = delivery.event
        if not event.campaign_id or not event.application:
            raise Poison("the request has no campaign or no application", code="no_campaign_id")
        wire.check_names(event.campaign_id, event.application)
        with self.ledger.turn() as rows:
            rows.request(event)


@dataclass(frozen=True, slots=True)
class CutDataset:
    """Answers one request with a dataset version or a refusal."""

    requests: Requests
    write: Write

    def __call__(self, request: DatasetRequested) -> None:
        """
        Raises:
            Retryable: the database or the artifact store is away.
        """
        query = wire.query(request.query)
        taken = cut.cut(self.requests.pairs(request.application), query)
        if isinstance(taken, Rejection):
            self.requests.answer(request, wire.refused(request, taken))
        else:
            self.requests.answer(request, self.write(request, query, taken))
