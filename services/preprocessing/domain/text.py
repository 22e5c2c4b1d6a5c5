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
    normalization="NFC",
)
_INVISIBLE: Final = re.compile("[\u200b\u2060\ufeff\u00ad]")
_TRAILING: Final = re.compile(r"[ \t\u00a0]+(?=\n|\Z)")
_BLANK_LINES: Final = re.compile(r"\n{3,}")
_SPACE: Final = re.compile(r"\s+")


def repair(text: str) -> str:
    """``text`` without mojibake, control and invisible characters, in NFC, trimmed.

    Line ends become line feeds, trailing blanks go, more than one blank line becomes one.
    """
    fixed = ftfy.fix_text(text, _REPAIR)
    fixed = _INVISIBLE.sub("", fixed)
    fixed = "".join(char for char in fixed if char in "\n\t" or not _control(char))
    fixed = _BLANK_LINES.sub("\n\n", _TRAILING.sub("", fixed))
    return unicodedata.normalize("NFC", fixed.strip())


def folded(text: str) -> str:
    """``text`` for comparison: case and spacing do not count."""
    return _SPACE.sub(" ", unicodedata.normalize("NFKC", text).casefold()).strip()


def _control(char: str) -> bool:
    return unicodedata.category(char) in {"Cc", "Cs"}
