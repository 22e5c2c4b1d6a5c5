"""Whether an answer fits the form that was asked for."""

import json
from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar
from functools import lru_cache
from typing import Any, Final

from jsonschema import Draft202012Validator, ValidationError
from jsonschema.validators import extend
from referencing import Registry
from referencing.exceptions import Unresolvable

from services.inference.domain.generation import Form
from services.inference.domain.pattern import MAX_TEXT, tries

MAX_STEPS: Final = 20_000
"""Of checking one answer; a step takes up to twenty microseconds."""
TRIES_PER_STEP: Final = 16_000
"""Characters that are looked at for a pattern."""


class _Endless(Exception):
    """`MAX_STEPS` are taken."""


def misfit(text: str, wanted: Form) -> str | None:
    """Why ``text`` is not JSON that fits; None when it is."""
    try:
        value = json.loads(text)
        _steps.set(0)
        _validator(wanted.schema).validate(value)
    except ValidationError as error:
        where = "/".join(str(step) for step in error.path)
        return f"/{where}: {error.message[:200]}"
    except _Endless:
        return f"it takes more than {MAX_STEPS} steps to check"
    except (ValueError, RecursionError, Unresolvable) as error:
        return f"it is not JSON: {str(error)[:100]}"
    return None


_steps: ContextVar[int] = ContextVar("steps")
Keyword = Callable[[Any, Any, Any, Mapping[str, Any]], Iterator[Any] | None]


def _counted(keyword: Keyword) -> Keyword:
    """``keyword`` of JSON Schema, which gives up when checking runs away."""

    def checked(validator: Any, value: Any, instance: Any, schema: Any) -> Iterator[Any] | None:
        steps = _steps.get() + 1 + (len(value) // 16 if isinstance(value, list) else 0)
        if keyword is _pattern and isinstance(instance, str):
            steps += tries(value, len(instance[:MAX_TEXT])) // TRIES_PER_STEP
        if steps > MAX_STEPS:
            raise _Endless
        _steps.set(steps)
        return keyword(validator, value, instance, schema)

    return checked


@lru_cache(maxsize=64)
def _validator(schema: str) -> Any:
    # Its own empty registry: the default one would fetch references from the network.
    return _Validator(json.loads(schema), registry=Registry())


def _pattern(validator: Any, pattern: str, value: object, _: Mapping[str, Any]) -> Iterator[Any]:
    if validator.is_type(value, "string") and len(str(value)) > MAX_TEXT:
        yield ValidationError(f"a text with a pattern is above {MAX_TEXT} characters")
        return
    inner = Draft202012Validator.VALIDATORS["pattern"]
    yield from inner(validator, pattern, value, {}) or ()


_Validator = extend(
    Draft202012Validator,
    {
        name: _counted(keyword)
        for name, keyword in {**Draft202012Validator.VALIDATORS, "pattern": _pattern}.items()
    },
)
