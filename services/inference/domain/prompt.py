"""From messages and variables to the text that an engine continues."""

from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Final, Never

from jinja2 import StrictUndefined, Template, TemplateError, Undefined
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment

from services.inference.domain.generation import Message
from services.inference.domain.release import Release

NONE: Final[Mapping[str, str]] = MappingProxyType({})
MOST_CHARACTERS: Final = 1_048_576
"""Of one text that a template multiplies."""


class BadVariable(TemplateError):
    """A variable of the request that the release's prompt does not take, or misses."""

    def __init__(self, name: str, message: str) -> None:
        super().__init__(message)
        self.name = name


class BadValues(TemplateError):
    """The release's templates fail with the request's messages or variables."""


class PromptTooLong(TemplateError):
    """What the release's prompt renders is above its bound."""


def render(
    release: Release,
    messages: tuple[Message, ...],
    now: datetime,
    variables: Mapping[str, str] = NONE,
) -> str:
    """The prompt of ``release``; its template wraps the last user message.

    The chat template sees what transformers' ``apply_chat_template`` shows it, so that an engine
    is asked as its model was trained and measured.

    Raises:
        TemplateError: the release's templates cannot take these messages and variables;
            `BadVariable`, `BadValues` and `PromptTooLong` are the request's fault.
    """
    said = wrapped(release, messages, variables)
    template = _compiled(release.engine.chat_template, Undefined)
    try:
        return template.render(
            messages=[{"role": message.role, "content": message.content} for message in said],
            add_generation_prompt=True,
            bos_token=release.engine.bos_token,
            eos_token=release.engine.eos_token,
            strftime_now=now.strftime,
        )
    except TemplateError:
        raise
    except Exception as error:  # a template may raise whatever Python does
        raise TemplateError(f"{type(error).__name__}: {error}") from error


def wrapped(
    release: Release, messages: tuple[Message, ...], variables: Mapping[str, str] = NONE
) -> tuple[Message, ...]:
    """``messages`` with the release's prompt around the last user message; without one, the
    prompt of the variables alone becomes it. Raises as `render`."""
    _check_variables(release.prompt.variables, variables)
    last = max((at for at, message in enumerate(messages) if message.role == "user"), default=None)
    if not release.prompt_template:
        if last is None:
            raise BadVariable("", "this release has no prompt: send a user message")
        return messages
    question = "" if last is None else messages[last].content
    text = _rendered(release, {**variables, "question": question})
    if last is None:
        return (*messages, Message("user", text))
    return (*messages[:last], Message("user", text), *messages[last + 1 :])


def _check_variables(declared: tuple[str, ...], variables: Mapping[str, str]) -> None:
    for name in variables:
        if name not in declared:
            raise BadVariable(name, "the release's prompt has no such variable")
    for name in declared:
        if name not in variables:
            raise BadVariable(name, "the release's prompt needs this variable")


def _rendered(release: Release, values: Mapping[str, str]) -> str:
    """The template filled, piece by piece, so that a loop cannot fill the memory."""
    template = _compiled(release.prompt_template, StrictUndefined)
    pieces: list[str] = []
    size, most = 0, release.prompt.max_characters
    try:
        for piece in template.generate(**values):
            size += len(piece)
            if release.prompt.version and size > most:
                raise PromptTooLong(f"the prompt renders to more than {most} characters")
            pieces.append(piece)
    except (BadValues, PromptTooLong):
        raise
    except Exception as error:  # a template may raise whatever Python does
        if isinstance(error, TemplateError) and not release.prompt.version:
            raise  # nobody has tried this template: it may fail with any values
        reason = f"{type(error).__name__}: {error}"[:200]
        raise BadValues(f"the release's prompt fails with these values: {reason}") from error
    return "".join(pieces)


class _Sandbox(ImmutableSandboxedEnvironment):
    """Arithmetic cannot make texts or numbers that fill the memory."""

    intercepted_binops = frozenset({"*", "**", "%"})

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        text, times = (left, right) if hasattr(left, "__len__") else (right, left)
        if operator == "**" or (operator == "%" and isinstance(left, str)):
            raise BadValues(f"templates have no {operator} here")
        if hasattr(text, "__len__") and len(text) * times > MOST_CHARACTERS:
            raise PromptTooLong(f"a text is multiplied to more than {MOST_CHARACTERS} characters")
        return super().call_binop(context, operator, left, right)


@lru_cache(maxsize=256)
def _compiled(source: str, undefined: type[Undefined]) -> Template:
    environment = _Sandbox(
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=undefined,
        extensions=["jinja2.ext.loopcontrols"],
    )
    environment.globals["raise_exception"] = _raise
    return environment.from_string(source)


def _raise(message: str) -> Never:
    raise BadValues(f"the release's template refuses these messages: {str(message)[:200]}")
