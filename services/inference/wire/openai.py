"""OpenAI's chat completions: the request, the answers, the errors."""

import json
from dataclasses import dataclass
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from services.inference.domain.generation import Ask, Delta, Finish, Message
from services.inference.wire.ask import BadParameter, checked

NEUTRAL: Final[dict[str, tuple[object, ...]]] = {
    "audio": (),
    "frequency_penalty": (0,),
    "function_call": ("none",),
    "functions": (),
    "logit_bias": ({},),
    "logprobs": (False,),
    "modalities": (["text"],),
    "moderation": (),
    "n": (1,),
    "parallel_tool_calls": (True, False),
    "prediction": (),
    "presence_penalty": (0,),
    "prompt_cache_key": (),
    "prompt_cache_retention": (),
    "reasoning_effort": ("none",),
    "response_format": ({"type": "text"},),
    "safety_identifier": (),
    "service_tier": ("auto", "default"),
    "store": (False,),
    "tool_choice": ("none", "auto"),
    "tools": ([],),
    "top_logprobs": (0,),
    "verbosity": (),
    "web_search_options": (),
}
"""Known parameters that are not supported, with the values that ask for nothing."""


class Part(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    type: str
    text: str = ""


class ChatMessage(BaseModel):
    model_config = ConfigDict(extra="allow", strict=True)

    role: str
    content: str | list[Part] | None = None
    name: str | None = None


class StreamOptions(BaseModel):
    model_config = ConfigDict(extra="ignore", strict=True)

    include_usage: bool = False


class ChatBody(BaseModel):
    model_config = ConfigDict(extra="allow", strict=True)

    model: str
    messages: list[ChatMessage]
    temperature: float | None = None
    top_p: float | None = None
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    stop: str | list[str] | None = None
    seed: int | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    user: str | None = None
    metadata: dict[str, str] | None = Field(default=None)


@dataclass(frozen=True, slots=True)
class Chat:
    model: str
    ask: Ask
    stream: bool
    include_usage: bool


def chat(body: bytes) -> Chat:
    """The request, validated. ``metadata["episode_id"]`` is the episode.

    Raises:
        BadParameter: names the parameter; `unsupported_parameter` for one that OpenAI has
            and this server has not, `unknown_parameter` for one that nobody has.
    """
    try:
        parsed = ChatBody.model_validate_json(body)
    except ValidationError as error:
        raise _refused(error) from error
    for name, value in (parsed.model_extra or {}).items():
        _refuse_unsupported(name, value)
    labels = dict(parsed.metadata or {})
    episode_id = labels.pop("episode_id", "")
    stop = (parsed.stop,) if isinstance(parsed.stop, str) else tuple(parsed.stop or ())
    most = parsed.max_completion_tokens
    ask = Ask(
        messages=tuple(_message(index, m) for index, m in enumerate(parsed.messages)),
        max_tokens=parsed.max_tokens if most is None else most,
        temperature=parsed.temperature,
        top_p=parsed.top_p,
        seed=parsed.seed,
        stop=stop,
        episode_id=episode_id,
        subject=parsed.user or "",
        labels=labels,
    )
    options = parsed.stream_options
    return Chat(
        parsed.model, checked(ask), bool(parsed.stream), bool(options and options.include_usage)
    )


def _refused(error: ValidationError) -> BadParameter:
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    if first["type"] == "json_invalid":
        return BadParameter("body", first["msg"], code="invalid_json")
    where = ".".join(str(step) for step in first["loc"]) or "body"
    return BadParameter(where[:128], first["msg"])


def _refuse_unsupported(name: str, value: object) -> None:
    if name not in NEUTRAL:
        raise BadParameter(name[:64], "is not a parameter", code="unknown_parameter")
    if value is not None and value not in NEUTRAL[name]:
        raise BadParameter(name, "is not supported here", code="unsupported_parameter")


def _message(index: int, message: ChatMessage) -> Message:
    for name, value in (message.model_extra or {}).items():
        if value:
            raise BadParameter(
                f"messages[{index}].{name[:64]}", "is not supported", code="unsupported_parameter"
            )
    role = "system" if message.role == "developer" else message.role
    if isinstance(message.content, list):
        for part in message.content:
            if part.type != "text":
                raise BadParameter(
                    f"messages[{index}].content",
                    f"parts of type {part.type[:32]!r} are not supported; only text",
                    code="unsupported_parameter",
                )
        return Message(role, "".join(part.text for part in message.content))
    return Message(role, message.content or "")


@dataclass(frozen=True, slots=True)
class Answers:
    """Writes the answers to one request. All carry ``id`` = generation id."""

    generation_id: str
    application: str
    release_digest: str
    created: int

    def completion(self, text: str, finish: Finish) -> bytes:
        choice = {
            "index": 0,
            "message": {"role": "assistant", "content": text, "refusal": None},
            "logprobs": None,
            "finish_reason": finish.reason,
        }
        whole = {**self._head("chat.completion"), "choices": [choice], "usage": _usage(finish)}
        return json.dumps(whole, ensure_ascii=False, separators=(",", ":")).encode()

    def opening(self) -> bytes:
        """The first chunk: the role."""
        return self._chunk({"role": "assistant", "content": ""}, None)

    def chunk(self, piece: Delta | Finish) -> bytes:
        if isinstance(piece, Delta):
            return self._chunk({"content": piece.text}, None)
        return self._chunk({}, piece.reason)

    def usage(self, finish: Finish) -> bytes:
        """The chunk asked for by ``stream_options.include_usage``."""
        head = self._head("chat.completion.chunk")
        return _event({**head, "choices": [], "usage": _usage(finish)})

    def _chunk(self, delta: dict[str, str], reason: str | None) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}
        return _event({**self._head("chat.completion.chunk"), "choices": [choice]})

    def _head(self, kind: str) -> dict[str, Any]:
        return {
            "id": self.generation_id,
            "object": kind,
            "created": self.created,
            "model": self.application,
            "system_fingerprint": self.release_digest[:16],
        }


DONE: Final = b"data: [DONE]\n\n"


def _usage(finish: Finish) -> dict[str, int]:
    return {
        "prompt_tokens": finish.prompt_tokens,
        "completion_tokens": finish.completion_tokens,
        "total_tokens": finish.prompt_tokens + finish.completion_tokens,
    }


def _event(value: object) -> bytes:
    return (
        b"data: " + json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode() + b"\n\n"
    )


def model(application: str) -> dict[str, object]:
    return {"id": application, "object": "model", "created": 0, "owned_by": "perennial"}


def error(message: str, kind: str, code: str, param: str | None = None) -> dict[str, object]:
    """OpenAI's error body."""
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}


def error_event(body: dict[str, object]) -> bytes:
    """An error after the stream has begun."""
    return _event(body)
