"""Each rule refuses what it names and nothing else."""

from collections.abc import Mapping

import pytest

from services.preprocessing.domain import rules
from services.preprocessing.domain.rows import Entry, Kind, Language, Source
from services.preprocessing.domain.rules import Rules

ENGLISH = Language("en", 0.99)
GOOD = {"prompt": "How do I pay?", "answer": "- With your card, up to $1,000 a day."}
NOWHERE = Source("t", 0, 0, "e")


def entry(contents: Mapping[str, str], kind: Kind = Kind.EXAMPLE) -> Entry:
    return Entry("r", "bank", kind, contents, NOWHERE)


def code_of(entry: Entry, language: Language = ENGLISH, bounds: Rules | None = None) -> str:
    rejection = rules.objection(entry, language, bounds or Rules())
    return rejection.code if rejection else ""


@pytest.mark.parametrize(
    "answer",
    [
        GOOD["answer"],
        "4",
        "Use `str.format`: '{0}' or '{name}'.",
        "See [the docs] and [1]. It is not available on Windows.",
        "是的。",
        "---\n| a | b |\n|---|---|\n" + "| 1 | 2 |\n" * 3,
        " ".join(f"word{n}" for n in range(500)),
    ],
)
def test_a_fit_answer_is_no_objection(answer: str) -> None:
    assert code_of(entry({**GOOD, "answer": answer})) == ""


@pytest.mark.parametrize(
    ("field", "text", "code"),
    [
        ("prompt", "", "empty_prompt"),
        ("answer", "", "empty_answer"),
        ("prompt", "a?", "too_short"),
        ("prompt", "word " * 4000, "too_long"),
        ("answer", "... !!! ---", "no_words"),
        ("answer", "caf\ufffd \ufffd\ufffd", "garbled"),
        ("answer", "the same thing again " * 20, "repetitive"),
        ("answer", "Your limit is [value not available].", "template_leftover"),
        ("answer", "Dear {{ customer.name }}, hello.", "template_leftover"),
        ("answer", "Dear [insert name here], hello.", "template_leftover"),
        ("answer", "Lorem ipsum dolor.", "template_leftover"),
    ],
)
def test_an_unfit_text_is_named(field: str, text: str, code: str) -> None:
    assert code_of(entry({**GOOD, field: text})) == code


def test_a_leftover_in_the_question_is_the_users() -> None:
    contents = {**GOOD, "prompt": "What does {{ name }} mean in a template?"}

    assert code_of(entry(contents)) == ""


def test_a_preference_needs_two_different_answers() -> None:
    contents = {"prompt": "How?", "chosen": "So.", "rejected": "So."}

    assert code_of(entry(contents, Kind.PREFERENCE)) == "same_choice"


def test_a_document_has_bounds_of_its_own() -> None:
    assert code_of(entry({"text": "too short"}, Kind.DOCUMENT)) == "too_short"
    assert code_of(entry({"text": "long enough to be one"}, Kind.DOCUMENT)) == ""


@pytest.mark.parametrize(
    ("language", "code"),
    [
        (Language("de", 0.9), "language_not_wanted"),
        (Language("de", 0.4), ""),
        (Language("en", 0.9), ""),
    ],
)
def test_a_language_is_judged_only_where_it_is_sure(language: Language, code: str) -> None:
    assert code_of(entry(GOOD), language, Rules(languages=("en",))) == code
