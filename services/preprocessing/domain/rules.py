"""The quality rules, each with a name that a rejection carries."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from services.preprocessing.domain.rows import FIELDS, Entry, Kind, Language, Rejection
from services.preprocessing.domain.similarity import shingles, words

LEFTOVERS: Final = re.compile(
    r"\[[^\[\]\n]{0,30}\b(?:not available|unavailable|placeholder|insert [^\[\]\n]{1,30}"
    r"|your [a-z ]{1,20} here)\b[^\[\]\n]{0,30}\]"
    r"|\{\{\s*[a-z_][a-z0-9_.]*\s*\}\}"
    r"|<(?:insert|your)[ _][a-z _]{1,30}>"
    r"|\blorem ipsum\b",
    re.IGNORECASE,
)
MIN_REPETITION_SHINGLES: Final = 20
"""Shorter texts repeat themselves by chance."""
ODD: Final = re.compile("[\ufffd\ue000-\uf8ff]")
"""The replacement character, and private use."""


@dataclass(frozen=True, slots=True)
class Rules:
    """Bounds of what becomes a row. Characters are counted after the repair."""

    min_prompt_chars: int = 3
    max_prompt_chars: int = 16_000
    min_answer_chars: int = 1
    max_answer_chars: int = 16_000
    min_document_chars: int = 20
    max_document_chars: int = 2_000_000
    max_repetition: float = 0.5  # share of 3-word shingles that occurred before
    max_garbled: float = 0.01  # share of replacement and private-use characters
    languages: tuple[str, ...] = ()  # ISO 639 codes; empty: every language
    language_confidence: float = 0.6  # below it a language is not judged

    def bounds(self, field: str) -> tuple[int, int]:
        """Least and most characters of a field."""
        if field == "prompt":
            return self.min_prompt_chars, self.max_prompt_chars
        if field == "text":
            return self.min_document_chars, self.max_document_chars
        return self.min_answer_chars, self.max_answer_chars


def objection(entry: Entry, language: Language, rules: Rules) -> Rejection | None:
    """The first rule that a repaired entry breaks; None when it is fit to be a row."""
    for field in FIELDS[entry.kind]:
        text = entry.contents.get(field, "")
        for rule in _OF_A_TEXT:
            if rejection := rule(field, text, rules):
                return rejection
    return _same_choice(entry) or _foreign(language, rules)


def _empty(field: str, text: str, _: Rules) -> Rejection | None:
    return None if text else Rejection(f"empty_{field}", f"{field} is empty")


def _length(field: str, text: str, rules: Rules) -> Rejection | None:
    least, most = rules.bounds(field)
    if len(text) < least:
        return Rejection("too_short", f"{field} has {len(text)} characters, less than {least}")
    if len(text) > most:
        return Rejection("too_long", f"{field} has {len(text)} characters, more than {most}")
    return None


def _wordless(field: str, text: str, _: Rules) -> Rejection | None:
    return None if words(text) else Rejection("no_words", f"{field} has no letter and no digit")


def _garbled(field: str, text: str, rules: Rules) -> Rejection | None:
    odd = len(ODD.findall(text))
    if odd / len(text) <= rules.max_garbled:
        return None
    return Rejection("garbled", f"{field} has {odd} unreadable characters of {len(text)}")


def _repetitive(field: str, text: str, rules: Rules) -> Rejection | None:
    spoken = words(text)
    total = len(spoken) - 2
    if total < MIN_REPETITION_SHINGLES:
        return None
    repeated = 1 - len(shingles(spoken)) / total
    if repeated <= rules.max_repetition:
        return None
    return Rejection("repetitive", f"{repeated:.0%} of {field}'s word triples are repeats")


def _leftover(field: str, text: str, _: Rules) -> Rejection | None:
    """Only in what a model would learn to say."""
    if field in {"prompt", "text", "rejected"} or not (found := LEFTOVERS.search(text)):
        return None
    return Rejection("template_leftover", f"{field} holds {found.group()[:80]!r}")


_OF_A_TEXT: Final[tuple[Callable[[str, str, Rules], Rejection | None], ...]] = (
    _empty,
    _length,
    _wordless,
    _garbled,
    _repetitive,
    _leftover,
)


def _same_choice(entry: Entry) -> Rejection | None:
    if entry.kind is Kind.PREFERENCE and entry.contents["chosen"] == entry.contents["rejected"]:
        return Rejection("same_choice", "chosen and rejected are the same text")
    return None


def _foreign(language: Language, rules: Rules) -> Rejection | None:
    if not rules.languages or language.confidence < rules.language_confidence:
        return None
    if language.code in rules.languages:
        return None
    return Rejection("language_not_wanted", f"{language.code}, wanted {', '.join(rules.languages)}")
