"""A request, what is sent to an engine for it, and what came of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from services.inference.domain.assignment import Assignment
from services.inference.domain.release import Decoding


@dataclass(frozen=True, slots=True)
class Message:
    role: str
    content: str


@dataclass(frozen=True, slots=True)
class Ask:
    """A validated request. None: as the release says."""

    messages: tuple[Message, ...]
    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    seed: int | None = None
    stop: tuple[str, ...] = ()
    episode_id: str = ""
    subject: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)

    @property
    def question(self) -> str:
        """The last user message."""
        return next(m.content for m in reversed(self.messages) if m.role == "user")


@dataclass(frozen=True, slots=True)
class Sampling:
    max_tokens: int
    temperature: float
    top_p: float
    seed: int
    stop: tuple[str, ...] = ()


def sampling(ask: Ask, decoding: Decoding, generation_id: str) -> Sampling:
    """The request's wishes within the release's; the seed is drawn from the id, so logged."""
    most = decoding.max_tokens or 256
    drawn = decoding.seed or UUID(generation_id).int & 0x7FFFFFFF
    return Sampling(
        max_tokens=most if ask.max_tokens is None else min(ask.max_tokens, most),
        temperature=decoding.temperature if ask.temperature is None else ask.temperature,
        top_p=(decoding.top_p or 1.0) if ask.top_p is None else ask.top_p,
        seed=drawn if ask.seed is None else ask.seed,
        stop=ask.stop,
    )


@dataclass(frozen=True, slots=True)
class Delta:
    """The next piece of an answer."""

    text: str


@dataclass(frozen=True, slots=True)
class Finish:
    """The end of an answer. ``reason`` is "stop" or "length"; log-probability in nats."""

    reason: str
    prompt_tokens: int
    completion_tokens: int
    cumulative_logprob: float | None

    @property
    def mean_logprob(self) -> float | None:
        if self.cumulative_logprob is None or self.completion_tokens == 0:
            return None
        return self.cumulative_logprob / self.completion_tokens


@dataclass(frozen=True, slots=True)
class Served:
    """What happened to one generation: answered, failed or cancelled."""

    generation_id: str
    application: str
    campaign_id: str
    assignment: Assignment
    ask: Ask
    answer: str
    finish: Finish | None
    error_code: str
    time_to_first_token_s: float
    latency_s: float
    served_at: datetime
    shadow_of: str = ""

    @property
    def finish_reason(self) -> str:
        if self.finish is not None:
            return self.finish.reason
        return "cancelled" if self.error_code == "cancelled" else "error"
