"""Unicode repair."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.preprocessing.domain.text import folded, repair


@pytest.mark.parametrize(
    ("broken", "whole"),
    [
        ("schÃ¶n", "schön"),
        ("e\u0301te\u0301", "été"),
        ("a\x00b\x07c", "abc"),
        ("zero\u200bwidth\ufeff", "zerowidth"),
        ("one\r\ntwo\rthree", "one\ntwo\nthree"),
        ("  a  \n\n\n\n b \t\n", "a\n\n b"),
        ("half \ud800", "half \ufffd"),
    ],
)
def test_what_is_broken_is_repaired(broken: str, whole: str) -> None:
    assert repair(broken) == whole


def test_a_million_blanks_or_marks_are_repaired_like_any_text() -> None:
    blanks, marks = "a" + " " * 1_000_000 + "b", "\u0327\u0301" * 250_000

    assert repair(blanks) == blanks
    assert repair("a" + marks) == repair("a" + marks[:30])


@pytest.mark.parametrize(
    "text", ["&lt;b&gt; is an entity", "“quoted” ﬁne", "- item\n  - sub\n\tcode"]
)
def test_what_is_meant_stays(text: str) -> None:
    assert repair(text) == text


@given(st.text(max_size=200))
def test_a_repaired_text_is_nfc_without_control_characters(text: str) -> None:
    fixed = repair(text)

    assert unicodedata.is_normalized("NFC", fixed)
    assert not any(
        unicodedata.category(char) in {"Cc", "Cs"} for char in fixed if char not in "\n\t"
    )
    assert fixed == fixed.strip()
    fixed.encode()


def test_case_and_spacing_do_not_count_in_a_comparison() -> None:
    assert folded("How  do I\nPAY?") == folded("how do i pay?")
