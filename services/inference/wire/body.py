"""JSON bodies of OpenAI's API: read into their models, or refused by the name of what is wrong,
written as OpenAI does: ``messages[0].content[1].type``."""

from collections.abc import Mapping
from itertools import pairwise
from typing import Any, Final, TypeVar

from pydantic import BaseModel, ValidationError

from services.inference.wire.ask import MISSING, BadParameter

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
SEVERAL: Final = frozenset({"content", "input", "prompt", "stop"})
"""Parameters of several types: pydantic has the type it tried after them in its paths."""
B = TypeVar("B", bound=BaseModel)
Path = tuple[int | str, ...]


def parsed(kind: type[B], body: bytes) -> B:
    """
    Raises:
        BadParameter: names the parameter; `unsupported_parameter` for one that OpenAI has
            and this server has not, `unknown_parameter` for one that nobody has.
    """
    try:
        parsed = kind.model_validate_json(body)
    except ValidationError as error:
        raise _refused(error) from error
    refuse_unsupported(parsed.model_extra or {}, NEUTRAL)
    return parsed


def refuse_unsupported(
    extra: Mapping[str, object], neutral: Mapping[str, tuple[object, ...]], prefix: str = ""
) -> None:
    for name, value in extra.items():
        param = prefix + (name[:64] or '""')
        if name not in neutral:
            raise BadParameter(param, "is not a parameter", code="unknown_parameter")
        if value is not None and not any(_same(value, each) for each in neutral[name]):
            raise BadParameter(param, "is not supported here", code="unsupported_parameter")


def refuse_extra(where: str, part: BaseModel) -> None:
    """Whatever ``part`` of a request has beside its fields, unless it asks for nothing."""
    for name, value in (part.model_extra or {}).items():
        if value:
            param = f"{where}.{name[:64]}"
            raise BadParameter(param, "is not supported", code="unsupported_parameter")


def _refused(error: ValidationError) -> BadParameter:
    errors = error.errors(include_url=False, include_input=False, include_context=False)
    if errors[0]["type"] == "json_invalid":
        return BadParameter("body", errors[0]["msg"], code="invalid_json")
    found = [(_path(one["loc"]), one) for one in errors]
    value = found[0][0]
    # Of a value of several types, the one that got furthest is the one that was meant.
    path, first = max(
        ((path, one) for path, one in found if path[: len(value)] == value),
        key=lambda each: len(each[0]),
    )
    wanted = dict.fromkeys(one["msg"] for other, one in found if other == path)
    reason = " or ".join(wanted).replace(" or Input should be", " or")
    kind = first["type"]
    typed = "invalid_type" if kind.endswith("_type") else "invalid_value"
    return BadParameter(_named(path), reason, code=MISSING if kind == "missing" else typed)


def _path(loc: Path) -> Path:
    steps = pairwise(("", *loc))
    return tuple(step for at, step in steps if isinstance(step, int) or at not in SEVERAL)


def _named(path: Path) -> str:
    steps = (f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)
    return "".join(steps).removeprefix(".")[:128] or "body"


def _same(value: object, other: Any) -> bool:
    """Equal, and not only as 1 equals True."""
    return bool(value == other) and isinstance(value, bool) == isinstance(other, bool)
