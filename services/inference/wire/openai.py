"""OpenAI's requests: chat completions, completions, embeddings. The answers are `replies`."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from services.inference.domain.form import ANY_OBJECT
from services.inference.domain.generation import Ask, Form, Message
from services.inference.wire.ask import (
    MAX_ID_CHARACTERS,
    MISSING,
    BadParameter,
    checked,
    choices,
    judgements,
    role_of,
    schema_form,
)
from services.inference.wire.body import parsed, refuse_extra, refuse_unsupported

STREAM_NEUTRAL: Final[dict[str, tuple[object, ...]]] = {"include_obfuscation": (False,)}
TIERS: Final = {"priority": "high", "flex": "low"}
"""``service_tier`` to the label ``priority``; the others are normal."""
Tier = Literal["auto", "default", "flex", "priority"]

OPEN: Final = ConfigDict(extra="allow", strict=True)
T = TypeVar("T")
Several = Annotated[list[T], Field(fail_fast=True)]
"""Ends at its first error: to tell half a million would stop all other answers for seconds."""


class Part(BaseModel):
    model_config = OPEN

    type: str
    text: str | None = None


class ChatMessage(BaseModel):
    model_config = OPEN

    role: str
    content: str | Several[Part] | None = None


class StreamOptions(BaseModel):
    model_config = OPEN

    include_usage: bool = False


class JsonSchema(BaseModel):
    model_config = OPEN

    name: str = ""
    description: str | None = None
    schema_: dict[str, Any] = Field(alias="schema")
    strict: bool | None = None


class ResponseFormat(BaseModel):
    model_config = OPEN

    type: str
    json_schema: JsonSchema | None = None


class Body(BaseModel):
    """What chat completions and completions have in common."""

    model_config = OPEN

    model: str
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    max_tokens: int | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    stop: str | Several[str] | None = None
    seed: int | None = None
    n: int | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    user: str | None = None
    safety_identifier: Annotated[str, Field(max_length=MAX_ID_CHARACTERS)] | None = None
    prompt_cache_key: str | None = None
    service_tier: Tier | None = None
    metadata: dict[str, Any] | None = None
    prompt_variables: dict[str, Any] | None = None


class ChatBody(Body):
    messages: Several[ChatMessage] = Field(default_factory=list)
    max_completion_tokens: int | None = None
    logprobs: bool | None = None
    response_format: ResponseFormat | None = None


class CompletionBody(Body):
    prompt: str | Several[str] = ""
    logprobs: int | None = None


@dataclass(frozen=True, slots=True)
class Wanted:
    """A request: what is asked, of which model, how many times, and how it is told."""

    model: str
    ask: Ask
    n: int
    stream: bool
    include_usage: bool


def chat(body: bytes) -> Wanted:
    """A chat completion's request, validated. ``metadata["episode_id"]`` is the episode.

    Raises:
        BadParameter: names the parameter; `unsupported_parameter` for one that OpenAI has
            and this server has not, `unknown_parameter` for one that nobody has.
    """
    read = parsed(ChatBody, body)
    messages = tuple(_message(index, m) for index, m in enumerate(read.messages))
    most = read.max_completion_tokens
    return _wanted(
        read,
        messages=messages,
        max_tokens=read.max_tokens if most is None else most,
        logprobs=bool(read.logprobs),
        form=_form(read.response_format),
        said={} if most is None else {"max_tokens": "max_completion_tokens"},
    )


def completion(body: bytes) -> Wanted:
    """A completion's request, validated. Its prompt is the question: the release's prompt and
    chat template apply to it. Raises as `chat`."""
    read = parsed(CompletionBody, body)
    prompts = [read.prompt] if isinstance(read.prompt, str) else read.prompt
    if len(prompts) != 1:
        raise BadParameter("prompt", f"{len(prompts)} of them; one is taken")
    if read.logprobs:
        raise BadParameter("logprobs", "at most 0: none but those of the chosen tokens")
    if not prompts[0].strip() and not read.prompt_variables:
        raise BadParameter("prompt", "is empty")
    return _wanted(
        read,
        messages=(Message("user", prompts[0]),) if prompts[0] else (),
        max_tokens=read.max_tokens,
        logprobs=read.logprobs is not None,
        form=None,
        said={"messages": "prompt", "messages[0].content": "prompt"},
    )


def _wanted(
    body: Body,
    *,
    messages: tuple[Message, ...],
    max_tokens: int | None,
    logprobs: bool,
    form: Form | None,
    said: Mapping[str, str],
) -> Wanted:
    """``said``: what the caller calls some of our parameters."""
    labels, score, verdict = judgements(_texts("metadata", body.metadata))
    if body.service_tier in TIERS:
        labels.setdefault("priority", TIERS[body.service_tier])
    ask = Ask(
        messages=messages,
        max_tokens=max_tokens,
        temperature=body.temperature,
        top_p=body.top_p,
        top_k=body.top_k,
        frequency_penalty=body.frequency_penalty,
        presence_penalty=body.presence_penalty,
        seed=body.seed,
        stop=(body.stop,) if isinstance(body.stop, str) else tuple(body.stop or ()),
        episode_id=labels.pop("episode_id", ""),
        subject=body.user or body.safety_identifier or "",
        labels=labels,
        logprobs=logprobs,
        form=form,
        variables=_texts("prompt_variables", body.prompt_variables),
        retrieval_score=score,
        guard_verdict=verdict,
    )
    usage = _include_usage(body)
    try:
        checked(ask)
    except BadParameter as error:
        raise error.called({"episode_id": "metadata.episode_id", **said}) from None
    return Wanted(body.model, ask, choices(body.n), bool(body.stream), usage)


def _texts(param: str, given: dict[str, Any] | None) -> dict[str, str]:
    for name, value in (given or {}).items():
        if not isinstance(value, str):
            told = "Input should be a valid string"
            raise BadParameter(f"{param}.{name[:64]}", told, code="invalid_type")
    return given or {}


def _include_usage(body: Body) -> bool:
    options = body.stream_options
    if options is None:
        return False
    if not body.stream:
        raise BadParameter("stream_options", "is for `stream: true` only")
    refuse_unsupported(options.model_extra or {}, STREAM_NEUTRAL, "stream_options.")
    return options.include_usage


def _form(wanted: ResponseFormat | None) -> Form | None:
    if wanted is None:
        return None
    refuse_unsupported(wanted.model_extra or {}, {}, "response_format.")
    if wanted.json_schema is not None:
        extra = wanted.json_schema.model_extra or {}
        refuse_unsupported(extra, {}, "response_format.json_schema.")
    match wanted:
        case ResponseFormat(type="text"):
            return None
        case ResponseFormat(type="json_object"):
            return ANY_OBJECT
        case ResponseFormat(type="json_schema", json_schema=JsonSchema() as given):
            return schema_form("response_format.json_schema.schema", given.schema_)
        case ResponseFormat(type="json_schema"):
            raise BadParameter("response_format.json_schema", "is missing", code=MISSING)
        case _:
            raise BadParameter(
                "response_format.type", "is not one of text, json_object, json_schema"
            )


def _message(index: int, message: ChatMessage) -> Message:
    where = f"messages[{index}]"
    role, content = role_of(f"{where}.role", message.role), message.content
    refuse_extra(where, message)
    if content is None and role != "assistant":
        raise BadParameter(f"{where}.content", "is missing", code=MISSING)
    if isinstance(content, list):
        content = "".join(_text(f"{where}.content[{at}]", part) for at, part in enumerate(content))
    return Message(role, content or "")


def _text(where: str, part: Part) -> str:
    if part.type != "text":
        raise BadParameter(f"{where}.type", f"{part.type[:32]!r} is not supported, only 'text'")
    refuse_extra(where, part)
    if part.text is None:
        raise BadParameter(f"{where}.text", "is missing", code=MISSING)
    return part.text
