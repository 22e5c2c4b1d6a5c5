"""When two rows are the same: by digest, or by the words that they share.

Candidates come from MinHash bands, the verdict is the exact Jaccard index of word triples.
"""

import hashlib
import re
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import rensa

from services.preprocessing.domain.rows import Entry, Kind
from services.preprocessing.domain.text import folded

NEAR: Final = 0.8
"""Jaccard index from which on two rows are near-duplicates."""
BANDS: Final = 32
ROWS_PER_BAND: Final = 4
"""A pair at the bound shares no band with probability (1 - 0.8^4)^32 = 5e-8."""
SEED: Final = 1
_CJK: Final = "\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af"
_WORD: Final = re.compile(rf"[{_CJK}]|[^\W{_CJK}]+")
_FAMILY: Final = {
    Kind.DOCUMENT: "text",
    Kind.EXAMPLE: "pair",
    Kind.EVALUATION_CASE: "pair",
    Kind.PREFERENCE: "choice",
}


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """What a row is found by."""

    content_digest: str  # hex; of the folded texts
    prompt_digest: str  # hex; of the folded prompt, "" for a document
    shingles: frozenset[str]
    bands: tuple[int, ...]  # signed 64-bit; empty without shingles


def fingerprint(entry: Entry) -> Fingerprint:
    """Of a repaired entry. An example and an evaluation case of the same pair are alike."""
    texts = [folded(text) for text in entry.texts]
    family = _FAMILY[entry.kind]
    triples = shingles_of(entry)
    prompt = entry.contents.get("prompt")
    return Fingerprint(
        content_digest=_digest(family, *texts),
        prompt_digest=_digest(folded(prompt)) if prompt is not None else "",
        shingles=triples,
        bands=_bands(family, triples),
    )


def shingles_of(entry: Entry) -> frozenset[str]:
    """The word triples of all of an entry's texts, read as one."""
    return shingles([word for text in entry.texts for word in words(folded(text))])


def words(text: str) -> list[str]:
    """Runs of letters and digits; a Chinese, Japanese or Korean character is a word."""
    return _WORD.findall(text)


def shingles(sequence: Sequence[str]) -> frozenset[str]:
    """Distinct triples of neighbours; a shorter sequence is one shingle, an empty one none."""
    if len(sequence) < 3:
        return frozenset([" ".join(sequence)]) if sequence else frozenset()
    triples = zip(sequence, sequence[1:], sequence[2:], strict=False)
    return frozenset(map(" ".join, triples))


def jaccard(one: frozenset[str], other: frozenset[str]) -> float:
    """Shared over all; 0 when both are empty."""
    if not (one or other):
        return 0.0
    shared = len(one & other)
    return shared / (len(one) + len(other) - shared)


def _bands(family: str, triples: frozenset[str]) -> tuple[int, ...]:
    if not triples:
        return ()
    minhash = rensa.RMinHash(num_perm=BANDS * ROWS_PER_BAND, seed=SEED)
    minhash.update(sorted(triples))
    signature = minhash.digest()
    return tuple(
        _band(family, number, signature[number * ROWS_PER_BAND : (number + 1) * ROWS_PER_BAND])
        for number in range(BANDS)
    )


def _band(family: str, number: int, values: Sequence[int]) -> int:
    packed = family.encode() + struct.pack(f"<B{ROWS_PER_BAND}I", number, *values)
    return int.from_bytes(hashlib.blake2b(packed, digest_size=8).digest(), "big", signed=True)


def _digest(*parts: str) -> str:
    return hashlib.sha256("\x1f".join(parts).encode()).hexdigest()
