"""A request, what is sent to an engine for it, and what came of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from services.inference.domain.assignment import Assignment
from services.inference.domain.release import Decoding, Provider


@dataclass(frozen=True, slots=True)
class Message:
    role: str
    content: str


@dataclass(frozen=True, slots=True)
class Form:
    """What an answer must be: JSON that fits ``schema``, itself JSON text. ``guide``: what an
    engine is to follow of it, where that is less."""

    schema: str
    guide: str = ""


@dataclass(frozen=True, slots=True)
class Ask:
    """A validated request. None: as the release says.

    ``variables`` are the prompt template's. ``choice`` numbers the answers to one request:
    each draws its own seed. ``traceparent`` is the caller's (W3C Trace Context).
    """

    messages: tuple[Message, ...]
    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    seed: int | None = None
    stop: tuple[str, ...] = ()
    episode_id: str = ""
    subject: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    top_k: int | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    logprobs: bool = False
    form: Form | None = None
    variables: Mapping[str, str] = field(default_factory=dict)
    retrieval_score: float | None = None
    guard_verdict: str = ""
    choice: int = 0
    traceparent: str = ""

    @property
    def question(self) -> str:
        """The last user message; without one, the values of the variables."""
        values = "\n".join(self.variables[name] for name in sorted(self.variables))
        return next((m.content for m in reversed(self.messages) if m.role == "user"), values)


@dataclass(frozen=True, slots=True)
class Sampling:
    """``top_k`` 0 takes all tokens; ``logprobs`` asks for those of each token."""

    max_tokens: int
    temperature: float
    top_p: float
    seed: int
    stop: tuple[str, ...] = ()
    top_k: int = 0
    frequency_penalty: float = 0.0
    presence_penalty: float = 0.0
    logprobs: bool = False
    form: Form | None = None


MAX_SEED: Final = 2**63 - 1


def sampling(ask: Ask, decoding: Decoding, generation_id: str) -> Sampling:
    """The request's wishes within the release's; the seed is drawn from the id, so logged."""
    most = decoding.max_tokens or 256
    drawn = decoding.seed or int(generation_id[-8:], 16) & 0x7FFFFFFF
    seed = drawn if ask.seed is None else ask.seed
    return Sampling(
        max_tokens=most if ask.max_tokens is None else min(ask.max_tokens, most),
        temperature=_wish(ask.temperature, decoding.temperature),
        top_p=_wish(ask.top_p, decoding.top_p or 1.0),
        seed=(seed + ask.choice) & MAX_SEED,
        stop=ask.stop,
        top_k=decoding.top_k if ask.top_k is None else ask.top_k,
        frequency_penalty=_wish(ask.frequency_penalty, decoding.frequency_penalty),
        presence_penalty=_wish(ask.presence_penalty, decoding.presence_penalty),
        logprobs=ask.logprobs,
        form=ask.form,
    )


UNSAID: Final[Mapping[str, object]] = {
    "temperature": 1.0,
    "top_p": 1.0,
    "top_k": 0,
    "seed": None,
    "stop": (),
    "frequency_penalty": 0.0,
    "presence_penalty": 0.0,
    "logprobs": False,
}
"""What an external API does where a parameter is not sent."""


def not_taken(ask: Ask, provider: Provider) -> str | None:
    """A parameter of the request that ``provider`` cannot follow. What only the release says is
    not sent to it; what the caller says is never ignored."""
    names = (name for name in UNSAID if name == "top_k" or name in provider.omit)
    return next((name for name in names if getattr(ask, name) not in (None, UNSAID[name])), None)


def _wish(asked: float | None, given: float) -> float:
    return given if asked is None else asked


@dataclass(frozen=True, slots=True)
class Token:
    """A token of an answer: its bytes, which may be part of a character, and nats."""

    raw: bytes
    logprob: float


@dataclass(frozen=True, slots=True)
class Delta:
    """The next piece of an answer. ``tokens`` are given when log-probabilities are asked for;
    the text of the last of them may still be held back."""

    text: str
    tokens: tuple[Token, ...] = ()


@dataclass(frozen=True, slots=True)
class Finish:
    """The end of an answer. ``reason`` is "stop" or "length"; log-probability in nats.

    ``response_model`` is what a provider says has answered; "" from an engine of our own.
    """

    reason: str
    prompt_tokens: int
    completion_tokens: int
    cumulative_logprob: float | None
    response_model: str = ""

    @property
    def mean_logprob(self) -> float | None:
        if self.cumulative_logprob is None or self.completion_tokens == 0:
            return None
        return self.cumulative_logprob / self.completion_tokens


@dataclass(frozen=True, slots=True)
class Answered:
    """One whole answer."""

    generation_id: str
    text: str
    tokens: tuple[Token, ...]
    finish: Finish


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
    request_model: str = ""
    provider: str = ""
    cost: float = 0.0
    cached: bool = False
    queue_s: float = 0.0

    @property
    def finish_reason(self) -> str:
        if self.finish is not None:
            return self.finish.reason
        return "cancelled" if self.error_code == "cancelled" else "error"
