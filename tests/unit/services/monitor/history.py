"""A made-up history: topics, and numbers that depend on them."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

TOPICS, DIMENSIONS = 6, 24
REFERENCE, STREAM, CHANGE = 600, 900, 400

Arrays = dict[str, NDArray[Any]]


def history(seed: int, change: str = "", reference: int = REFERENCE) -> Arrays:
    """Every array and its twin; from event 400 on, one of them changes."""
    random = np.random.default_rng(seed)
    before, after = _part(random, reference, ""), _part(random, STREAM, change)
    return {**{f"ref_{name}": values for name, values in before.items()}, **after}


def _part(random: np.random.Generator, size: int, change: str) -> Arrays:
    fixed = np.random.default_rng(7)
    centres, slope = fixed.normal(size=(TOPICS + 1, DIMENSIONS)), fixed.normal(size=DIMENSIONS)

    def late(name: str) -> NDArray[np.bool_]:
        return (np.arange(size) >= CHANGE) & (change == name)

    topic = np.where(late("emb"), TOPICS, random.integers(TOPICS, size=size))
    topic = np.where(late("mix") & (random.random(size) < 0.6), 0, topic)
    noisy = centres[topic] + 0.7 * random.normal(size=(size, DIMENSIONS))
    emb = noisy / np.linalg.norm(noisy, axis=1, keepdims=True)
    given = emb @ slope
    scores = random.random(size) < np.where(late("feedback"), 0.3, 0.85) - 0.1 * (topic == 0)
    return {
        "emb": emb.astype(np.float16),
        "length": np.exp(4 + 0.5 * random.normal(size=size) + late("length")),
        "lang": np.where(random.random(size) < np.where(late("lang"), 0.5, 0.1), "de", "en"),
        "logprob": given + 0.2 * random.normal(size=size) - 0.3 * late("logprob"),
        "latency_ms": np.exp(6 + given + 0.3 * random.normal(size=size) + late("latency_ms")),
        "retrieval_score": given + 0.2 * random.normal(size=size) - 0.3 * late("retrieval_score"),
        "guard_block": random.random(size) < np.where(late("guard_block"), 0.3, 0.02),
        "feedback": np.where(random.random(size) < 0.3, np.nan, scores.astype(float)),
    }
