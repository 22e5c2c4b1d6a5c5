"""How near an answer is to the reference answer. Runs in the model environment."""

from __future__ import annotations

import re
from functools import cache

from rouge_score.rouge_scorer import RougeScorer
from sacrebleu.metrics import BLEU, CHRF

_WORD = re.compile(r"\w+")


def metrics(answer: str, wanted: str) -> dict[str, float]:
    """Each in [0, 1]: ROUGE-L F, sentence BLEU and chrF, and whether the words are the same."""
    rouge, bleu, chrf = _scorers()
    return {
        "rouge_l": float(rouge.score(wanted, answer)["rougeL"].fmeasure),
        "bleu": bleu.sentence_score(answer, [wanted]).score / 100,
        "chrf": chrf.sentence_score(answer, [wanted]).score / 100,
        "exact_match": float(_words(answer) == _words(wanted)),
    }


@cache
def _scorers() -> tuple[RougeScorer, BLEU, CHRF]:
    return RougeScorer(["rougeL"]), BLEU(effective_order=True), CHRF()


def _words(text: str) -> list[str]:
    return _WORD.findall(text.casefold())
