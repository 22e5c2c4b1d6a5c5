"""Is an external provider still the model that it was?

The first answers to each probe prompt are kept. Every later answer gets a score: how far it is
from the nearest kept answer to the same prompt. While nothing changes, a score is as likely to be
the k-th largest of all scores so far for every k, so its rank is a uniform p-value whatever the
past was (online conformal p-values); bets against uniformity are e-values, and the sum of all
their products since every possible beginning (a Shiryaev-Roberts e-detector) exceeds A no sooner
than after A probes on average. Prompts are drawn at random, not in turn: so scores of different
prompts may be compared.
"""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

PROMPTS: Final = (
    "Write one sentence about the sea.",
    "Name three colours of your own choice, separated by commas.",
    "Continue in one sentence: The old clockmaker opened the door and",
    "Explain in one sentence why the sky is blue.",
    "Give a title for a short story about a lost key.",
    "What is 17 times 23? Answer with one short sentence.",
    "Describe yourself in one sentence.",
    "List two advantages of trains over cars.",
)
KEPT_PER_PROMPT: Final = 2
LEARNT: Final = 64
"""Scores after which a change can be found within few probes."""
POWERS: Final = (0.15, 0.3, 0.5, 0.8)
"""A bet of power k pays k p^(k-1): the smaller, the more it stakes on tiny p-values."""
MAX_SCORES: Final = 2000
LEAST_P: Final = 1e-6
SMALL_P: Final = 0.01
LEAST_COMPARED: Final = 8
GRAM: Final = 3
SNAPSHOT: Final = re.compile(r"[-@:]\d{3,}(?:-\d\d)*")
"""What a provider may put behind a model's name: ``-2024-08-06``, ``-0613``, ``@20241022``."""


def grams(text: str) -> frozenset[str]:
    plain = " ".join(text.lower().split())
    return frozenset(plain[at : at + GRAM] for at in range(max(1, len(plain) - GRAM + 1)))


def distance(text: str, kept: Sequence[str]) -> float:
    """1 minus the Jaccard similarity of letter triples with the nearest of ``kept``."""
    mine = grams(text)
    return min(1 - len(mine & other) / len(mine | other) for other in map(grams, kept))


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of one provider's model. ``kept``: answers by prompt; ``scores`` of the
    later ones; ``stakes``: one detector's statistic for each power."""

    request_model: str
    response_model: str = ""
    kept: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    scores: tuple[float, ...] = ()
    stakes: tuple[float, ...] = (0.0,) * len(POWERS)
    probes: int = 0

    @property
    def learning(self) -> bool:
        return len(self.scores) < LEARNT

    @property
    def evidence(self) -> float:
        """The detector's statistic."""
        return sum(self.stakes) / len(self.stakes)


@dataclass(frozen=True, slots=True)
class Probed:
    """``changed`` says why, "" while nothing has; ``p_value`` at most 1 over the evidence."""

    known: Known
    changed: str = ""
    p_value: float = 1.0


def wanting(known: Known, prompts: Sequence[str], drawn: float) -> str:
    """The prompt to be sent next; ``drawn`` is uniform in [0, 1)."""
    for prompt in prompts:
        if len(known.kept.get(prompt, ())) < KEPT_PER_PROMPT:
            return prompt
    return prompts[min(int(drawn * len(prompts)), len(prompts) - 1)]


def otherwise(known: Known, model: str) -> str:
    """Why ``model``, which has answered, is not the one that it should be; "" where it is.

    It should be the one that answered before; at first the one that was asked for, of which a
    dated or numbered snapshot may answer.
    """
    if not model or model == known.response_model:
        return ""
    if known.response_model:
        return f"it answered as {known.response_model} and now as {model}"
    if not answers_for(known.request_model, model):
        return f"it is asked for {known.request_model} and answers as {model}"
    return ""


def answers_for(asked: str, model: str) -> bool:
    """Whether ``model`` is ``asked`` itself or a snapshot of it; case and the path before the
    name do not matter: ``vendor/Small-2024-08-06`` answers for ``small`` and ``small-latest``,
    ``small-mini`` does not."""
    wanted = asked.rpartition("/")[2].lower()
    given = model.rpartition("/")[2].lower()
    stem = wanted.removesuffix("-latest")
    snapshot = given.startswith(stem) and SNAPSHOT.fullmatch(given, len(stem))
    return given in (wanted, stem) or bool(snapshot)


def probed(
    known: Known, prompt: str, answer: str, model: str, *, drawn: float, run_length: float
) -> Probed:
    """Take in an answer.

    Args:
        drawn: uniform in [0, 1), for ties among scores.
        run_length: probes to a false alarm, at least, on average.
    """
    if changed := otherwise(known, model):
        return Probed(replace(known, response_model=model), changed, 0.0)
    known = replace(known, response_model=model or known.response_model, probes=known.probes + 1)
    kept = known.kept.get(prompt, ())
    if len(kept) < KEPT_PER_PROMPT:
        return Probed(replace(known, kept={**known.kept, prompt: (*kept, answer)}))
    score = distance(answer, kept)
    p_value = max(_rank(score, known.scores, drawn), LEAST_P)
    stakes = tuple(
        (stake + 1) * power * p_value ** (power - 1)
        for stake, power in zip(known.stakes, POWERS, strict=True)
    )
    scores = (*known.scores, score)[-MAX_SCORES:]
    known = replace(known, scores=scores, stakes=stakes)
    if known.evidence < run_length:
        return Probed(known, p_value=min(1.0, 1 / known.evidence))
    return Probed(known, "its answers are unlike those before", 1 / known.evidence)


def _rank(score: float, others: Sequence[float], drawn: float) -> float:
    """The share of scores, its own with them, at least as large; ties broken by ``drawn``."""
    larger = sum(other > score for other in others)
    equal = 1 + sum(other == score for other in others)
    return (larger + drawn * equal) / (len(others) + 1)


def compared(known: Known, answers: Sequence[tuple[str, str]]) -> float:
    """One-sided p-value that these (prompt, answer) are as near to the kept ones as the
    answers before were: Wilcoxon's rank sum; 1 where too few are known."""
    scores = [
        distance(answer, kept)
        for prompt, answer in answers
        if len(kept := known.kept.get(prompt, ())) >= KEPT_PER_PROMPT
    ]
    if min(len(scores), len(known.scores)) < LEAST_COMPARED:
        return 1.0
    return rank_sum(scores, known.scores)


def rank_sum(sample: Sequence[float], reference: Sequence[float]) -> float:
    """p-value that ``sample`` is not larger than ``reference``; normal, corrected for ties."""
    mine, theirs = len(sample), len(reference)
    total = mine + theirs
    pairs = sum((a > b) + 0.5 * (a == b) for a in sample for b in reference)
    pooled = sorted([*sample, *reference])
    ties = sum(count**3 - count for count in (pooled.count(value) for value in set(pooled)))
    variance = mine * theirs / 12 * (total + 1 - ties / (total * (total - 1)))
    if variance <= 0:
        return 1.0
    return 0.5 * math.erfc((pairs - mine * theirs / 2 - 0.5) / math.sqrt(2 * variance))
