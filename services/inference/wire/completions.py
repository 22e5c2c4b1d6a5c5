"""OpenAI's chat completions from the other side: what is sent to a provider, and read from it."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final

from pydantic_core import from_json, to_json

from services.inference.domain.form import ANY_OBJECT
from services.inference.domain.generation import Delta, Finish, Form, Message, Sampling, Token
from services.inference.domain.release import Provider
from services.inference.ports import EngineFailed

REASONS: Final = frozenset({"stop", "length", "content_filter"})
MAX_MODEL_CHARACTERS: Final = 128
MOST_AFTER_S: Final = 300.0
CHARACTERS_PER_TOKEN: Final = 4
"""Where a provider does not count."""


def request(provider: Provider, messages: Sequence[Message], sampling: Sampling) -> bytes:
    """The body of a streamed request, without the parameters that ``provider`` does not take."""
    body: dict[str, Any] = {
        "model": provider.model,
        "messages": [{"role": m.role, "content": m.content} for m in messages],
        provider.max_tokens_parameter: sampling.max_tokens,
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "seed": sampling.seed,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    if sampling.stop:
        body["stop"] = list(sampling.stop)
    for name in ("frequency_penalty", "presence_penalty"):
        if value := getattr(sampling, name):
            body[name] = value
    if sampling.logprobs:
        body["logprobs"] = True
    if sampling.form is not None:
        _ask_for_json(body, sampling.form, provider.json)
    return to_json({name: value for name, value in body.items() if name not in provider.omit})


def _ask_for_json(body: dict[str, Any], form: Form, how: str) -> None:
    """By ``response_format`` as far as the provider follows one, else in words too: with
    ``json_object``, some insist on the word JSON."""
    if how == "schema" and form != ANY_OBJECT:
        schema = {"name": "answer", "schema": json.loads(form.schema)}
        body["response_format"] = {"type": "json_schema", "json_schema": schema}
        return
    if how != "none":
        body["response_format"] = {"type": "json_object"}
    last = next(said for said in reversed(body["messages"]) if said["role"] == "user")
    last["content"] += "\n\nAnswer with JSON alone, that fits this schema: " + form.schema


@dataclass(slots=True)
class Reading:
    """An answer as it comes in. Everything in it is a stranger's word."""

    model: str = ""
    reason: str = ""
    characters: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    logprob: float | None = None

    def chunk(self, raw: bytes) -> Delta | None:
        """The text of one event, if it has any.

        Raises:
            EngineFailed: ``engine_error``, it is none or reports an error.
        """
        event = _object(raw)
        choice = self._choice(event)
        self._head(event)
        if choice is None:
            return None
        return self._delta(choice, choice.get("delta"))

    def whole(self, raw: bytes) -> tuple[Delta | Finish, ...]:
        """An answer that came at once. Raises as `chunk`."""
        event = _object(raw)
        choice = self._choice(event)
        self._head(event)
        delta = self._delta(choice, choice.get("message")) if choice is not None else None
        return (*([delta] if delta else []), self.finish())

    def finish(self) -> Finish:
        """The end.

        Raises:
            EngineFailed: ``engine_error``: the stream was cut before it.
        """
        if not self.reason:
            raise EngineFailed("the provider's stream was cut", code="engine_error")
        guessed = -(-self.characters // CHARACTERS_PER_TOKEN)
        return Finish(
            reason=self.reason,
            prompt_tokens=self.prompt_tokens,
            completion_tokens=self.completion_tokens or guessed,
            cumulative_logprob=self.logprob,
            response_model=self.model,
        )

    def _choice(self, event: Mapping[str, Any]) -> Mapping[str, Any] | None:
        if event.get("error"):
            raise EngineFailed("the provider failed", code="engine_error")
        choices = event.get("choices")
        if not isinstance(choices, list):
            raise EngineFailed("the provider sends no completion", code="engine_error")
        if not choices:
            return None
        if not isinstance(choices[0], dict):
            raise EngineFailed("the provider sends no completion", code="engine_error")
        return choices[0]

    def _head(self, event: Mapping[str, Any]) -> None:
        if isinstance(model := event.get("model"), str) and model:
            self.model = model[:MAX_MODEL_CHARACTERS]
        if isinstance(usage := event.get("usage"), dict):
            self.prompt_tokens = _count(usage.get("prompt_tokens"))
            self.completion_tokens = _count(usage.get("completion_tokens"))

    def _delta(self, choice: Mapping[str, Any], said: object) -> Delta | None:
        if reason := choice.get("finish_reason"):
            if reason not in REASONS:
                raise EngineFailed("the provider ends in an unknown way", code="engine_error")
            self.reason = reason
        text = said.get("content") if isinstance(said, dict) else None
        if not isinstance(text, str) or not text:
            return None
        self.characters += len(text)
        return Delta(text.encode(errors="replace").decode(), self._tokens(choice.get("logprobs")))

    def _tokens(self, logprobs: object) -> tuple[Token, ...]:
        content = logprobs.get("content") if isinstance(logprobs, dict) else None
        if not isinstance(content, list):
            return ()
        tokens = tuple(token for one in content if (token := _token(one)) is not None)
        if tokens:
            self.logprob = (self.logprob or 0.0) + sum(token.logprob for token in tokens)
        return tokens


def _token(one: object) -> Token | None:
    if not isinstance(one, dict):
        return None
    text, logprob = one.get("token"), one.get("logprob")
    if not isinstance(text, str) or not isinstance(logprob, int | float):
        return None
    if not math.isfinite(logprob) or logprob > 0:
        return None
    return Token(text.encode(errors="replace"), float(logprob))


def _object(raw: bytes) -> Mapping[str, Any]:
    try:
        value = _parsed(raw)
    except (ValueError, RecursionError) as error:
        raise EngineFailed("the provider sends garbage", code="engine_error") from error
    if not isinstance(value, dict):
        raise EngineFailed("the provider sends garbage", code="engine_error")
    return value


def _parsed(raw: bytes) -> object:
    try:
        return from_json(raw)  # in a third of the time that json takes
    except ValueError:
        return json.loads(raw)  # takes halves of surrogate pairs, which some APIs send


def _count(value: object) -> int:
    return value if isinstance(value, int) and 0 <= value < 2**31 else 0


def retry_after_s(header: str | None) -> float:
    """Seconds that a ``retry-after`` names, as a number or a date; 1 where it names none."""
    if not header:
        return 1.0
    try:
        after_s = float(header)
    except ValueError:
        try:
            at = parsedate_to_datetime(header)
        except ValueError:
            return 1.0
        after_s = (at.replace(tzinfo=at.tzinfo or UTC) - datetime.now(UTC)).total_seconds()
    return min(max(after_s, 0.0), MOST_AFTER_S) if math.isfinite(after_s) else 1.0
