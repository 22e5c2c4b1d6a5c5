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
from services.preprocessing.domain.intake import Prospect, Row, judge, repaired
from services.preprocessing.domain.rows import Entry, Rejection
from services.preprocessing.domain.rules import Rules
from services.preprocessing.domain.similarity import fingerprint
from services.preprocessing.domain.split import side_of
from services.preprocessing.ports import Correction, Languages, Ledger, Requests, Rows, Write

KEPT = "kept"
EVICTED = "held_out_by_evaluation_case"
REPLACED = "replaced_by_newer_feedback"
WITHDRAWN = "feedback_withdrawn"


@dataclass(frozen=True, slots=True)
class Prepare:
    """Looks at one entry by itself: cleaned, its language named, judged by the rules."""

    languages: Languages
    rules: Rules

    def __call__(self, entry: Entry) -> Prospect:
        clean = repaired(entry)
        language = self.languages(" ".join(clean.texts))
        rejection = rules.objection(clean, language, self.rules)
        row = Row(clean, side_of(clean), language, fingerprint(clean))
        return Prospect(entry, rejection or row)


def settle(rows: Rows, prospect: Prospect) -> bool:
    """Whether the prospect became a row, given the rows that are like it."""
    entry, outlook = prospect.entry, prospect.outlook
    if isinstance(outlook, Rejection):
        return _reject(rows, entry, outlook)
    verdict = judge(outlook, rows.twins(entry.application, outlook.fingerprint))
    if isinstance(verdict, Rejection):
        return _reject(rows, entry, verdict)
    for record_id in verdict.evicted:
        remove(rows, record_id, EVICTED)
    rows.keep(outlook)
    rows.count(KEPT)
    return True


def remove(rows: Rows, record_id: str, code: str) -> None:
    """Take a row out again, and say so."""
    if (event := rows.remove(record_id, code)) is not None:
        rows.announce(event)
        rows.count(code)


def _reject(rows: Rows, entry: Entry, rejection: Rejection) -> bool:
    rows.note_rejected(entry, rejection.code)
    rows.announce(wire.rejected(entry, rejection))
    rows.count(rejection.code)
    return False


@dataclass(frozen=True, slots=True)
class OnRecordReceived:
    ledger: Ledger
    store: ArtifactStore
    prepare: Prepare

    def __call__(self, delivery: Delivery[RecordReceived]) -> None:
        prospect = self.prepare(wire.entry_of_record(delivery, self._payload(delivery.event)))

        def change(rows: Rows) -> None:
            if not rows.knows(prospect.entry.record_id):
                settle(rows, prospect)

        self.ledger.add(change, prospect)

    def _payload(self, event: RecordReceived) -> bytes | None:
        if not event.record.HasField("payload"):
            return None
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
        prospect = self.prepare(entry) if entry else None
        self.ledger.add(lambda rows: self._change(rows, event, prospect), prospect)

    def _change(self, rows: Rows, event: FeedbackJoined, prospect: Prospect | None) -> None:
        known = rows.correction(event.application, event.feedback_id)
        if known is not None and known.version >= event.version:
            return
        if known is not None and known.record_id:
            remove(rows, known.record_id, WITHDRAWN if event.withdrawn else REPLACED)
        kept = prospect is not None and settle(rows, prospect)
        newest = Correction(event.version, prospect.entry.record_id if prospect and kept else "")
        if known is not None or prospect is not None or event.version > 1 or event.withdrawn:
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
        self.ledger.add(lambda rows: rows.request(event))


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
