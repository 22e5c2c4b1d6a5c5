"""Synthetic traffic: unit vectors round topic centres, as sentence embeddings lie."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from protos.feedback.v1.feedback_events_pb2 import FeedbackJoined
from protos.inference.v1.inference_events_pb2 import GenerationServed
from protos.registry.v1.registry_events_pb2 import ROLE_CHAMPION
from services.monitor.domain.sample import Sample

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
            prompt=f"{'far' if far else 'near'} prompt {self.made:06}",
            vector=self._vector(topic),
            logprob=float(-1 - 0.1 * topic + 0.1 * self.random.normal() + logprob_shift),
        )

    def _vector(self, topic: int) -> NDArray[np.float16]:
        noisy = self.centres[topic] + 0.7 * self.random.normal(size=DIMENSIONS)
        return np.asarray(noisy / np.linalg.norm(noisy), np.float16)


def served(traffic: Traffic, far: bool = False, **changes: Any) -> GenerationServed:
    """The champion's answer to the next prompt of ``traffic``."""
    sample = traffic.sample(far=far)
    event = GenerationServed(
        generation_id=sample.generation_id,
        application="support",
        release_digest="r1",
        role=ROLE_CHAMPION,
        episode_id=sample.episode,
        prompt=sample.prompt,
        answer="Yes.",
        completion_tokens=3,
        latency_s=0.5,
        time_to_first_token_s=0.1,
        mean_logprob=sample.logprob,
        finish_reason="stop",
        embedding=sample.vector.astype("<f2").tobytes(),
    )
    event.MergeFrom(GenerationServed(**changes))
    return event


def rated(number: int, value: float, application: str = "support") -> FeedbackJoined:
    """A rating of an answer and an episode of its own, of the first champion."""
    return FeedbackJoined(
        feedback_id=f"f{number}",
        version=1,
        generation_id=f"g{number}",
        application=application,
        release_digest="r1",
        role=ROLE_CHAMPION,
        episode_id=f"e{number}",
        rating=value,
        prompt=f"ask {number}",
    )


def thumbs(count: int, good: float, seed: int = 1, first: int = 0) -> Iterator[tuple[int, float]]:
    """Numbers and ratings, the share ``good`` of them 1 and the others 0."""
    up = np.random.default_rng(seed).random(count) < good
    return ((first + place, float(one)) for place, one in enumerate(up))


def corrected(number: int, application: str = "support") -> FeedbackJoined:
    """A correction of its own."""
    return FeedbackJoined(
        feedback_id=f"f{number}",
        version=1,
        generation_id=f"g{number}",
        application=application,
        role=ROLE_CHAMPION,
        prompt=f"question {number}",
        correction=f"answer {number}",
    )
