"""Whether an entry becomes a row, given the rows that are like it."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from math import ceil, floor

from services.preprocessing.domain.rows import Entry, Kind, Language, Rejection, Side
from services.preprocessing.domain.similarity import NEAR, Fingerprint, jaccard
from services.preprocessing.domain.text import repair


@dataclass(frozen=True, slots=True)
class Row:
    """What is kept of an entry."""

    entry: Entry
    side: Side
    language: Language
    fingerprint: Fingerprint


@dataclass(frozen=True, slots=True)
class Prospect:
    """An entry by itself: the row that it may become, or why it cannot."""

    entry: Entry
    outlook: Row | Rejection


@dataclass(frozen=True, slots=True)
class Twin:
    """A kept row that may be the same as a new one."""

    record_id: str
    side: Side
    content_digest: str
    shingles: frozenset[str]


@dataclass(frozen=True, slots=True)
class Keep:
    """The row stays; training rows that it is the same as must go."""

    evicted: tuple[str, ...] = ()


@dataclass(slots=True)
class Twins:
    """Kept rows by what they are found by: those that are there, and a batch's own.

    Twins come in the order in which they were added.
    """

    _twins: dict[str, Twin] = field(default_factory=dict)
    _by_content: dict[tuple[str, str], dict[str, None]] = field(default_factory=dict)
    _by_band: dict[tuple[str, int], dict[str, None]] = field(default_factory=dict)

    def add(self, application: str, twin: Twin, bands: Sequence[int]) -> None:
        self._twins[twin.record_id] = twin
        content = (application, twin.content_digest)
        self._by_content.setdefault(content, {})[twin.record_id] = None
        for band in bands:
            self._by_band.setdefault((application, band), {})[twin.record_id] = None

    def drop(self, record_id: str) -> None:
        self._twins.pop(record_id, None)

    def of(self, application: str, fingerprint: Fingerprint) -> list[Twin]:
        """Rows with the same content, or else those that share a band and have about as many
        shingles: sets whose sizes differ more cannot be alike."""
        same = self._by_content.get((application, fingerprint.content_digest), {})
        if exact := [self._twins[each] for each in same if each in self._twins]:
            return exact
        found = {
            each: self._twins[each]
            for band in fingerprint.bands
            for each in self._by_band.get((application, band), {})
            if each in self._twins
        }
        count = len(fingerprint.shingles)
        least, most = floor(count * NEAR), ceil(count / NEAR)
        return [twin for twin in found.values() if least <= len(twin.shingles) <= most]


def repaired(entry: Entry) -> Entry:
    return replace(entry, contents={name: repair(text) for name, text in entry.contents.items()})


def judge(row: Row, twins: Sequence[Twin]) -> Keep | Rejection:
    """Reject what is there already, on whichever side.

    An evaluation case is held out for ever: it takes the place of training rows that are
    the same, and is rejected only for the sake of a row that is held out as well.
    """
    same = [(twin, likeness) for twin in twins if (likeness := _likeness(row, twin)) >= NEAR]
    is_case = row.entry.kind is Kind.EVALUATION_CASE
    for twin, likeness in same:
        if is_case and twin.side is Side.TRAIN:
            continue
        exact = twin.content_digest == row.fingerprint.content_digest
        code = "exact_duplicate" if exact else "near_duplicate"
        return Rejection(code, f"of {twin.record_id}, likeness {likeness:.2f}")
    return Keep(evicted=tuple(twin.record_id for twin, _ in same))


def _likeness(row: Row, twin: Twin) -> float:
    if row.fingerprint.content_digest == twin.content_digest:
        return 1.0
    return jaccard(row.fingerprint.shingles, twin.shingles)
