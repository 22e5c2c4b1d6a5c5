"""The demo's users: how much an answer is worth to them, from 0 to 1.

The mean of ROUGE-L F (Lin 2004) and the cosine of MiniLM embeddings, floored at 0: word order
and meaning against the known answer. The embeddings come from the stack's Triton.
"""

import re
from typing import Any, Final

import numpy as np
import tritonclient.grpc.aio as triton

MODEL: Final = "embedding"
TIMEOUT_S: Final = 20.0


def words(text: str) -> list[str]:
    return re.findall(r"[a-z0-9]+", text.lower())


def rouge_l(answer: str, reference: str) -> float:
    """F measure of the longest common subsequence of words, in [0, 1]."""
    mine, theirs = words(answer), words(reference)
    if not mine or not theirs:
        return 0.0
    best = [0] * (len(theirs) + 1)
    for word in mine:
        before = 0
        for column, other in enumerate(theirs, 1):
            above = best[column]
            best[column] = before + 1 if word == other else max(above, best[column - 1])
            before = above
    return 2 * best[-1] / (len(mine) + len(theirs))


class Rater:
    """Rates answers; embeddings are asked for in pairs."""

    def __init__(self, triton_address: str) -> None:
        self._triton = triton.InferenceServerClient(triton_address)

    async def rate(self, answer: str, reference: str) -> float:
        """In [0, 1]; 0 for an empty answer."""
        if not answer.strip():
            return 0.0
        mine, theirs = await self._embed([answer, reference])
        return (rouge_l(answer, reference) + max(0.0, float(mine @ theirs))) / 2

    async def _embed(self, texts: list[str]) -> Any:
        """``(len(texts), 384)`` float32, each of length 1."""
        given = triton.InferInput("text", [len(texts), 1], "BYTES")
        given.set_data_from_numpy(np.array([[text.encode()] for text in texts], dtype=object))
        answer = await self._triton.infer(MODEL, [given], client_timeout=TIMEOUT_S)
        return answer.as_numpy("embedding")

    async def close(self) -> None:
        await self._triton.close()
