"""Tokens to text that can be sent: whole characters, and nothing that may become a stop word."""

from collections.abc import Callable, Iterable


class Text:
    """The text of one answer as it grows; knows no tokenizer but what ``decode`` does.

    Args:
        decode: token id to the characters it completes, or None.
        stop: words that end the answer and are not part of it.
    """

    def __init__(self, decode: Callable[[int], str | None], stop: Iterable[str]) -> None:
        self.stopped = False
        self._decode = decode
        self._stop = tuple(word for word in stop if word)
        self._held = ""

    def push(self, token: int) -> str:
        """What can be sent after one more token; ``stopped`` tells that a stop word was met."""
        self._held += self._decode(token) or ""
        found = [at for at in (self._held.find(word) for word in self._stop) if at >= 0]
        if found:
            self.stopped = True
            self._held = self._held[: min(found)]
            return self.rest()
        keep = max((_overlap(self._held, word) for word in self._stop), default=0)
        ready, self._held = self._held[: len(self._held) - keep], self._held[-keep:] if keep else ""
        return ready

    def rest(self) -> str:
        """What was held back, when no more tokens come."""
        ready, self._held = self._held, ""
        return ready


def _overlap(text: str, word: str) -> int:
    """Length of the longest end of ``text`` that begins ``word`` without completing it."""
    longest = min(len(text), len(word) - 1)
    return next((size for size in range(longest, 0, -1) if word.startswith(text[-size:])), 0)


def _byte_of() -> dict[str, int]:
    """Byte-level vocabularies write each byte as one printable character: GPT-2's table."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in plain]
    table = {chr(byte): byte for byte in plain}
    return table | {chr(256 + at): byte for at, byte in enumerate(others)}


_BYTE_OF = _byte_of()


def spelled(token: str | None) -> bytes:
    """The bytes of a token as the vocabulary writes it: perhaps a part of a character."""
    token = token or ""
    try:
        return bytes(_BYTE_OF[character] for character in token)
    except KeyError:
        return token.replace("\u2581", " ").encode()
