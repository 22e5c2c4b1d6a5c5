"""The values: an entry as it arrives, a row as it is kept."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final


class Kind(StrEnum):
    DOCUMENT = "document"
    EXAMPLE = "example"
    PREFERENCE = "preference"
    EVALUATION_CASE = "evaluation_case"


FIELDS: Final[Mapping[Kind, tuple[str, ...]]] = {
    Kind.DOCUMENT: ("text",),
    Kind.EXAMPLE: ("prompt", "answer"),
    Kind.PREFERENCE: ("prompt", "chosen", "rejected"),
    Kind.EVALUATION_CASE: ("prompt", "answer"),
}


class Side(StrEnum):
    TRAIN = "train"
    HELD_OUT = "held_out"


@dataclass(frozen=True, slots=True)
class Source:
    """Where on the log an entry stands."""

    topic: str
    partition: int
    offset: int
    event_id: str


@dataclass(frozen=True, slots=True)
class Entry:
    """A record or a correction, with the fields of its kind in ``contents``.

    Fields:
        occurred_at: when the record came in, or the corrected answer was served; seconds since
            1970, 0 = unknown.
    """

    record_id: str
    application: str
    kind: Kind
    contents: Mapping[str, str]
    source: Source
    collection: str = ""
    subject: str = ""
    group: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    occurred_at: float = 0.0

    @property
    def texts(self) -> tuple[str, ...]:
        """The fields' texts in the order of the kind."""
        return tuple(self.contents.get(name, "") for name in FIELDS[self.kind])


@dataclass(frozen=True, slots=True)
class Language:
    """ISO 639 code and the confidence in [0, 1]."""

    code: str
    confidence: float


@dataclass(frozen=True, slots=True)
class Rejection:
    """Why an entry becomes no row; ``code`` is a constant."""

    code: str
    reason: str
