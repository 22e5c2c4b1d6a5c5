"""Unicode repair: one spelling for one text, and nothing a reader would miss is lost."""

import re
import unicodedata
from typing import Final

import ftfy

_REPAIR: Final = ftfy.TextFixerConfig(
    unescape_html=False,  # an answer about HTML means its entities
    fix_latin_ligatures=False,
    fix_character_width=False,
    uncurl_quotes=False,
    normalization=None,  # done below, once there are no more marks than it takes quickly
)
_UNUSUAL: Final = re.compile(r"[^\w\x00-\x7f]{32,}")
MOST_MARKS: Final = 30
"""Of one character, as in Unicode's stream-safe text: a megabyte would be sorted for minutes."""
_INVISIBLE: Final = re.compile("[\u200b\u2060\ufeff\u00ad]")
_CONTROL: Final = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")
"""Categories Cc and Cs, but for tab and line feed."""
_TRAILING: Final = re.compile(r"(?<![ \t\u00a0])[ \t\u00a0]+(?=\n|\Z)")
"""Looked for where blanks begin, and not again at each of them."""
_BLANK_LINES: Final = re.compile(r"\n{3,}")
_SPACE: Final = re.compile(r"\s+")


def repair(text: str) -> str:
    """``text`` without mojibake, control and invisible characters, in NFC, trimmed.

    Line ends become line feeds, trailing blanks go, more than one blank line becomes one, and a
    character has at most 30 marks.
    """
    fixed = ftfy.fix_text(text, _REPAIR)
    fixed = _INVISIBLE.sub("", fixed)
    fixed = _CONTROL.sub("", fixed)
    fixed = _BLANK_LINES.sub("\n\n", _TRAILING.sub("", fixed))
    fixed = _UNUSUAL.sub(_with_few_marks, fixed)
    return unicodedata.normalize("NFC", fixed.strip())


def _with_few_marks(found: re.Match[str]) -> str:
    kept: list[str] = []
    marks = 0
    for character in found[0]:
        marks = marks + 1 if unicodedata.combining(character) else 0
        if marks <= MOST_MARKS:
            kept.append(character)
    return "".join(kept)


def folded(text: str) -> str:
    """``text`` for comparison: case and spacing do not count."""
    return _SPACE.sub(" ", unicodedata.normalize("NFKC", text).casefold()).strip()
