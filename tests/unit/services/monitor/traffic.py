"""Synthetic traffic: unit vectors round topic centres, as sentence embeddings lie."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from services.monitor.domain.watch import Sample

DIMENSIONS = 48


@dataclass
class Traffic:
    """Prompts of several topics; each topic's log-probability has its own level."""

    seed: int
    topics: int = 6
    made: int = 0
    random: np.random.Generator = field(init=False)

    def __post_init__(self) -> None:
        self.random = np.random.default_rng(self.seed)
        self.centres = np.random.default_rng(7).normal(size=(self.topics + 2, DIMENSIONS))

    def sample(self, *, far: bool = False, logprob_shift: float = 0.0) -> Sample:
        topic = self.topics + self.made % 2 if far else int(self.random.integers(self.topics))
        self.made += 1
        return Sample(
            generation_id=f"generation-{self.made}",
            episode=f"episode-{self.made}",
            prompt=f"{'far' if far else 'near'} prompt {self.made}",
            vector=self._vector(topic),
            logprob=float(-1 - 0.1 * topic + 0.1 * self.random.normal() + logprob_shift),
        )

    def _vector(self, topic: int) -> NDArray[np.float16]:
        noisy = self.centres[topic] + 0.7 * self.random.normal(size=DIMENSIONS)
        return np.asarray(noisy / np.linalg.norm(noisy), np.float16)
