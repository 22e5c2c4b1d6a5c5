"""The language model in the wheel."""

import pytest

from services.preprocessing.adapters.language import DetectLanguage


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("How do I change the daily limit of my card?", "en"),
        ("Wie ändere ich das Tageslimit meiner Karte?", "de"),
        ("Comment changer\nle plafond de ma carte ?", "fr"),
    ],
)
def test_a_language_is_recognised(text: str, code: str) -> None:
    assert DetectLanguage()(text).code == code


def test_no_text_is_no_language() -> None:
    assert DetectLanguage()("").code in {"und", "en"}
