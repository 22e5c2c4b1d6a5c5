"""Whole answers that may be given again: least recently used go first."""

import hashlib
from collections import Counter, OrderedDict
from dataclasses import dataclass, field, replace
from typing import Final

from services.inference.domain.generation import Ask, Delta, Finish, Sampling
from services.inference.domain.release import Release
from services.inference.domain.serving import Caching

Key = tuple[str, bytes]
"""Application, digest of the rest: nothing is ever shared between applications."""
Pieces = tuple[Delta | Finish, ...]

OVERHEAD_BYTES: Final = 512
TOKEN_BYTES: Final = 96


def key_of(application: str, release: Release, ask: Ask, wish: Sampling) -> Key | None:
    """The key of an answer; None when another try may well answer otherwise.

    All that the request asks for is in it, all that only describes the request is not.
    A seed that the request does not name is drawn from its id, and greedy answers ignore it.
    """
    provider = release.engine.provider
    told = provider is None or "temperature" not in provider.omit
    if wish.temperature > 0 or not told:
        return None
    asked = replace(
        ask,
        episode_id="",
        subject="",
        labels={},
        retrieval_score=None,
        guard_verdict="",
        traceparent="",
    )
    text = repr((release.digest, asked, sorted(ask.variables.items()), replace(wish, seed=0)))
    return application, hashlib.sha256(text.encode(errors="surrogatepass")).digest()


@dataclass(frozen=True, slots=True)
class Kept:
    pieces: Pieces
    size: int
    until_s: float


@dataclass(slots=True)
class Cache:
    """At most ``most_bytes`` in all. Times are of one monotonic clock, seconds."""

    most_bytes: int
    size: int = 0
    _kept: OrderedDict[Key, Kept] = field(default_factory=OrderedDict)
    _entries: Counter[str] = field(default_factory=Counter)

    def get(self, key: Key, now_s: float) -> Pieces | None:
        found = self._kept.get(key)
        if found is None:
            return None
        if found.until_s <= now_s:
            self._drop(key)
            return None
        self._kept.move_to_end(key)
        return found.pieces

    def put(self, key: Key, pieces: Pieces, policy: Caching, now_s: float) -> None:
        size = OVERHEAD_BYTES + sum(_size(piece) for piece in pieces)
        if key in self._kept:
            self._drop(key)
        if size > self.most_bytes:
            return
        self._kept[key] = Kept(pieces, size, now_s + policy.ttl_s)
        self._entries[key[0]] += 1
        self.size += size
        while self._entries[key[0]] > policy.entries:
            self._drop(next(other for other in self._kept if other[0] == key[0]))
        while self.size > self.most_bytes:
            self._drop(next(iter(self._kept)))

    def _drop(self, key: Key) -> None:
        self.size -= self._kept.pop(key).size
        self._entries[key[0]] -= 1


def _size(piece: Delta | Finish) -> int:
    if isinstance(piece, Finish):
        return OVERHEAD_BYTES
    return OVERHEAD_BYTES + 4 * len(piece.text) + TOKEN_BYTES * len(piece.tokens)


def merged(pieces: Pieces) -> Pieces:
    """``pieces`` with one delta."""
    deltas = [piece for piece in pieces if isinstance(piece, Delta)]
    whole = Delta(
        "".join(delta.text for delta in deltas),
        tuple(token for delta in deltas for token in delta.tokens),
    )
    return (whole, *(piece for piece in pieces if isinstance(piece, Finish)))
