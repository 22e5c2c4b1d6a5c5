"""OpenAI's requests: chat completions, completions, embeddings. The answers are `replies`."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from services.inference.domain.form import ANY_OBJECT
from services.inference.domain.generation import Ask, Form, Message
from services.inference.wire.ask import (
    MAX_ID_CHARACTERS,
    BadParameter,
    checked,
    choices,
    judgements,
    schema_form,
)

NEUTRAL: Final[dict[str, tuple[object, ...]]] = {
    "audio": (),
    "best_of": (1,),
    "echo": (False,),
    "function_call": ("none",),
    "functions": (),
    "logit_bias": ({},),
    "modalities": (["text"],),
    "moderation": (),
    "parallel_tool_calls": (True, False),
    "prediction": (),
    "prompt_cache_options": (),
    "prompt_cache_retention": (),
    "reasoning_effort": ("none",),
    "store": (False,),
    "suffix": ("",),
    "tool_choice": ("none", "auto"),
    "tools": ([],),
    "top_logprobs": (0,),
    "verbosity": ("medium",),
    "web_search_options": (),
}
"""Known parameters that are not supported, with the values that ask for nothing."""
STREAM_NEUTRAL: Final[dict[str, tuple[object, ...]]] = {"include_obfuscation": (False,)}
TIERS: Final = {"priority": "high", "flex": "low"}
"""``service_tier`` to the label ``priority``; the others are normal."""
Tier = Literal["auto", "default", "flex", "priority"]

STRICT: Final = ConfigDict(extra="forbid", strict=True)
OPEN: Final = ConfigDict(extra="allow", strict=True)


class Part(BaseModel):
    model_config = STRICT

    type: str
    text: str = ""


class ChatMessage(BaseModel):
    model_config = OPEN

    role: str
    content: str | list[Part] | None = None


class StreamOptions(BaseModel):
    model_config = OPEN

    include_usage: bool = False


class JsonSchema(BaseModel):
    model_config = STRICT

    name: str = ""
    description: str | None = None
    schema_: dict[str, Any] = Field(alias="schema")
    strict: bool | None = None


class ResponseFormat(BaseModel):
    model_config = STRICT

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
    stop: str | list[str] | None = None
    seed: int | None = None
    n: int | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    user: str | None = None
    safety_identifier: Annotated[str, Field(max_length=MAX_ID_CHARACTERS)] | None = None
    prompt_cache_key: str | None = None
    service_tier: Tier | None = None
    metadata: dict[str, str] | None = None
    prompt_variables: dict[str, str] | None = None


class ChatBody(Body):
    messages: list[ChatMessage] = Field(default_factory=list)
    max_completion_tokens: int | None = None
    logprobs: bool | None = None
    response_format: ResponseFormat | None = None


class CompletionBody(Body):
    prompt: str | list[str] = ""
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
    return _wanted(
        read,
        messages=(Message("user", prompts[0]),) if prompts[0] else (),
        max_tokens=read.max_tokens,
        logprobs=read.logprobs is not None,
        form=None,
    )


def _wanted(
    body: Body,
    *,
    messages: tuple[Message, ...],
    max_tokens: int | None,
    logprobs: bool,
    form: Form | None,
) -> Wanted:
    labels, score, verdict = judgements(body.metadata or {})
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
        variables=body.prompt_variables or {},
        retrieval_score=score,
        guard_verdict=verdict,
    )
    usage = _include_usage(body)
    return Wanted(body.model, checked(ask), choices(body.n), bool(body.stream), usage)


def _include_usage(body: Body) -> bool:
    options = body.stream_options
    if options is None:
        return False
    if not body.stream:
        raise BadParameter("stream_options", "is for `stream: true` only")
    _refuse_unsupported(options.model_extra or {}, STREAM_NEUTRAL, "stream_options.")
    return options.include_usage


B = TypeVar("B", bound=BaseModel)


def parsed(kind: type[B], body: bytes) -> B:
    try:
        parsed = kind.model_validate_json(body)
    except ValidationError as error:
        raise _refused(error) from error
    _refuse_unsupported(parsed.model_extra or {}, NEUTRAL)
    return parsed


def _refused(error: ValidationError) -> BadParameter:
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    if first["type"] == "json_invalid":
        return BadParameter("body", first["msg"], code="invalid_json")
    where = ".".join(str(step) for step in first["loc"]) or "body"
    return BadParameter(where[:128], first["msg"])


def _refuse_unsupported(
    extra: Mapping[str, object], neutral: Mapping[str, tuple[object, ...]], prefix: str = ""
) -> None:
    for name, value in extra.items():
        if name not in neutral:
            raise BadParameter(prefix + name[:64], "is not a parameter", code="unknown_parameter")
        if value is not None and not any(_same(value, each) for each in neutral[name]):
            raise BadParameter(prefix + name, "is not supported here", code="unsupported_parameter")


def _same(value: object, other: object) -> bool:
    """Equal, and not only as 1 equals True."""
    return value == other and isinstance(value, bool) == isinstance(other, bool)


def _form(wanted: ResponseFormat | None) -> Form | None:
    match wanted:
        case None | ResponseFormat(type="text"):
            return None
        case ResponseFormat(type="json_object"):
            return ANY_OBJECT
        case ResponseFormat(type="json_schema", json_schema=JsonSchema() as given):
            return schema_form("response_format.json_schema.schema", given.schema_)
        case ResponseFormat(type="json_schema"):
            raise BadParameter("response_format.json_schema", "is missing")
        case _:
            raise BadParameter(
                "response_format.type", "is not one of text, json_object, json_schema"
            )


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
