"""Taking records in: one by one from the topic, in acknowledged batches from the doors."""

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from libs.artifacts.store import ArtifactStore
from libs.events.delivery import Delivery
from libs.faults import Poison
from libs.kafka.door import DOOR_S, acknowledged
from libs.rpc import auth
from libs.runtime.clock import Clock
from protos.ingest.v1.ingest_events_pb2 import RecordSubmitted
from services.ingest import domain, wire
from services.ingest.domain import Draft, Refusal
from services.ingest.ports import Announce, Announcement, Applications

INLINE_BYTES: Final = 240 * 1024
"""Contents above this travel through the artifact store: a whole event, names and labels
included, must stay under the log's 256 KiB."""
MAX_REJECTIONS: Final = 1000
"""Told in one answer; the rest is counted."""

BATCH_BYTES: Final = 4 * 1024 * 1024
"""Submissions of an upload that wait in memory together."""

Read = Callable[[], Draft]
"""Reads one submission; raises Poison when it is malformed."""


@dataclass(frozen=True, slots=True)
class Rejection:
    line: int  # 1-based position in the upload
    refusal: Refusal


@dataclass(slots=True)
class Receipt:
    """What became of an upload."""

    accepted: int = 0
    rejected: int = 0
    rejections: list[Rejection] = field(default_factory=list)

    def reject(self, line: int, refusal: Refusal) -> None:
        self.rejected += 1
        if len(self.rejections) < MAX_REJECTIONS:
            self.rejections.append(Rejection(line, refusal))


@dataclass(frozen=True, slots=True)
class Prepare:
    """A draft as the announcement of a received record."""

    store: ArtifactStore
    clock: Clock
    max_field_bytes: int

    def __call__(self, draft: Draft) -> Announcement:
        """
        Raises:
            Poison: the code of the rule that the draft breaks.
            Retryable: the artifact store is away.
        """
        if refusal := domain.objection(draft, self.max_field_bytes):
            raise Poison(refusal.reason, code=refusal.code)
        record_id = domain.record_id(draft)
        contents = domain.canonical(dict(draft.contents))
        payload = None
        if len(contents) > INLINE_BYTES:
            payload = self.store.put(contents, "application/json")
        event = wire.received(draft, record_id, payload, self.clock.now())
        return Announcement(domain.event_id(record_id), event)


@dataclass(frozen=True, slots=True)
class TakeBatch:
    """Takes numbered submissions in; the good ones are on the log when it returns."""

    prepare: Prepare
    announce: Announce
    announce_s: float = DOOR_S

    async def __call__(self, submissions: Iterable[tuple[int, Read]], receipt: Receipt) -> None:
        """Note in ``receipt`` what became of each.

        Raises:
            Retryable: the log has not taken them within ``announce_s``, or the store is away;
                the same upload may be sent again.
        """
        announcements = await asyncio.to_thread(self._prepared, submissions, receipt)
        await acknowledged(partial(self.announce, announcements), self.announce_s)
        receipt.accepted += len(announcements)

    def _prepared(
        self, submissions: Iterable[tuple[int, Read]], receipt: Receipt
    ) -> list[Announcement]:
        announcements = []
        for line, read in submissions:
            try:
                announcements.append(self.prepare(read()))
            except Poison as poison:
                receipt.reject(line, Refusal(poison.code, str(poison)))
        return announcements


@dataclass(frozen=True, slots=True)
class OnRecordSubmitted:
    """A record that an upstream system published."""

    prepare: Prepare
    announce: Announce
    applications: Applications

    def __call__(self, delivery: Delivery[RecordSubmitted]) -> None:
        draft = wire.draft_of_record(delivery.event.record)
        if self.applications.get(draft.application) is None:
            raise Poison(
                f"no application is called {draft.application[:63]!r}", code="unknown_application"
            )
        self.announce([self.prepare(draft)])


@dataclass(frozen=True, slots=True)
class Authenticate:
    """Which application an API key stands for."""

    applications: Applications

    def __call__(self, key_sha256: str | None) -> str:
        """
        Args:
            key_sha256: hex digest of the key; None when the caller sent none.
        Raises:
            Poison: ``unauthenticated``.
        """
        table = self.applications.find(key_sha256) if key_sha256 else None
        if table is None:
            raise auth.no_application(key_sha256)
        return table.application


@dataclass(slots=True)
class Upload:
    """One caller's submissions, taken in batch by batch: bounded in memory, however many."""

    take: TakeBatch
    batch_records: int
    receipt: Receipt = field(default_factory=Receipt)
    _waiting: list[tuple[int, Read]] = field(default_factory=list)
    _waiting_bytes: int = 0

    async def add(self, line: int, size_bytes: int, read: Read) -> None:
        """Queue a submission; waits for the log when a batch is full."""
        self._waiting.append((line, read))
        self._waiting_bytes += size_bytes
        if len(self._waiting) >= self.batch_records or self._waiting_bytes >= BATCH_BYTES:
            await self.finish()

    async def finish(self) -> Receipt:
        """Take in what is queued; the receipt of all so far."""
        batch, self._waiting, self._waiting_bytes = self._waiting, [], 0
        if batch:
            await self.take(batch, self.receipt)
        return self.receipt
