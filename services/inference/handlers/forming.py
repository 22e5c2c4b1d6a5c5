"""Answers that must be JSON: held to it, and asked for once more where nothing holds them."""

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import replace
from typing import Final

from libs.faults import Poison
from services.inference.domain.fit import misfit
from services.inference.domain.generation import Delta, Finish, Form, Message
from services.inference.handlers import instruments
from services.inference.ports import INVALID_JSON_ANSWER

Pieces = AsyncGenerator[Delta | Finish, None]
FENCE: Final = "```"
REPAIR: Final = (
    "Your answer is not JSON that fits the schema: {why}. Answer again, with that JSON alone.\n"
    "Schema: {schema}"
)


async def held(pieces: Pieces, form: Form) -> Pieces:
    """The pieces of an engine that follows the form itself.

    Raises:
        Poison: ``invalid_json_answer``, in the place of the `Finish`: the answer was cut.
    """
    texts: list[str] = []
    async with aclosing(pieces):
        async for piece in pieces:
            if isinstance(piece, Delta):
                texts.append(piece.text)
            elif (why := misfit("".join(texts), form)) is not None:
                raise _invalid(why, piece)
            yield piece


async def repaired(
    ask: Callable[[tuple[Message, ...]], Pieces], messages: tuple[Message, ...], form: Form
) -> Pieces:
    """An answer of somebody who may not follow the form: kept back until it does. Where it
    does not, asked for once more.

    Raises:
        Poison: ``invalid_json_answer``.
    """
    text, finish = await _whole(ask(messages))
    why = misfit(text, form)
    if why is not None:
        instruments.REPAIRS.inc()
        wish = Message("user", REPAIR.format(why=why, schema=form.schema))
        text, second = await _whole(ask((*messages, Message("assistant", text), wish)))
        finish = _together(finish, second)
        why = misfit(text, form)
    if why is not None:
        raise _invalid(why, finish)
    yield Delta(text)
    yield finish


async def _whole(pieces: Pieces) -> tuple[str, Finish]:
    """All of the text, out of the fence that some models put around code; and the end."""
    texts: list[str] = []
    finish = Finish("stop", 0, 0, None)
    async with aclosing(pieces):
        async for piece in pieces:
            if isinstance(piece, Finish):
                finish = piece
            else:
                texts.append(piece.text)
    return _unfenced("".join(texts)), finish


def _unfenced(text: str) -> str:
    inner = text.strip().removeprefix(FENCE).removesuffix(FENCE)
    kind, line_feed, code = inner.partition("\n")
    is_fenced = len(text.strip()) == len(inner) + 2 * len(FENCE)
    return code.strip() if is_fenced and line_feed and kind.strip() in {"", "json"} else text


def _together(first: Finish, second: Finish) -> Finish:
    return replace(
        second,
        prompt_tokens=first.prompt_tokens + second.prompt_tokens,
        completion_tokens=first.completion_tokens + second.completion_tokens,
        cumulative_logprob=None,
    )


def _invalid(why: str, finish: Finish) -> Poison:
    if finish.reason == "length":
        why = "max_tokens ended it before its JSON was complete"
    told = f"the answer does not fit response_format: {why}"
    return Poison(told, code=INVALID_JSON_ANSWER, param="response_format")
