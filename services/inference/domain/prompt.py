"""From messages to the text that an engine continues."""

from functools import lru_cache
from typing import Never

from jinja2 import StrictUndefined, Template, TemplateError, Undefined
from jinja2.sandbox import ImmutableSandboxedEnvironment

from services.inference.domain.generation import Message
from services.inference.domain.release import Release


def render(release: Release, messages: tuple[Message, ...]) -> str:
    """The prompt of ``release`` for ``messages``; its template wraps the last user message.

    Raises:
        TemplateError: the release's templates cannot take these messages.
    """
    wrapped = _wrap(release.prompt_template, messages)
    return _compiled(release.engine.chat_template, Undefined).render(
        messages=[{"role": m.role, "content": m.content} for m in wrapped],
        add_generation_prompt=True,
        bos_token="",
        eos_token="",
    )


def _wrap(template: str, messages: tuple[Message, ...]) -> tuple[Message, ...]:
    if not template:
        return messages
    last = max(index for index, message in enumerate(messages) if message.role == "user")
    question = _compiled(template, StrictUndefined).render(question=messages[last].content)
    return (*messages[:last], Message("user", question), *messages[last + 1 :])


@lru_cache(maxsize=256)
def _compiled(source: str, undefined: type[Undefined]) -> Template:
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=undefined,
        extensions=["jinja2.ext.loopcontrols"],
    )
    environment.globals["raise_exception"] = _raise
    return environment.from_string(source)


def _raise(message: str) -> Never:
    raise TemplateError(message)
