"""Regular expressions of strangers: which can be matched in bounded time."""

import re
from collections.abc import Iterator
from re import _constants as codes  # type: ignore[attr-defined]  # what sre_parse has become
from re import _parser as parser  # type: ignore[attr-defined]
from typing import Any, Final

MAX_PATTERN: Final = 256
MAX_TEXT: Final = 512
"""Characters that a pattern is matched against."""
MAX_REPEATS: Final = 3
"""Open repetitions in one pattern: each is another power of the text's length."""
MAX_TIMES: Final = 256
PLAIN: Final = frozenset(
    {
        *(codes.LITERAL, codes.NOT_LITERAL, codes.ANY, codes.IN, codes.AT),
        *(codes.BRANCH, codes.SUBPATTERN, codes.MAX_REPEAT, codes.CATEGORY),
    }
)


def why_not(pattern: str) -> str | None:
    """Why ``pattern`` is not taken; None when it is."""
    if len(pattern) > MAX_PATTERN:
        return f"is above {MAX_PATTERN} characters"
    try:
        tree = parser.parse(pattern)
        re.compile(pattern)
    except (re.error, RecursionError, OverflowError) as error:
        return f"is no regular expression: {str(error)[:100]}"
    repeats = 0
    for operation, argument, inside in _walk(tree, inside=False):
        if operation not in PLAIN:
            return "looks around, refers back or is lazy, which is not supported"
        if operation is codes.AT and argument not in {codes.AT_BEGINNING, codes.AT_END}:
            return "has boundaries, which are not supported"
        if operation is codes.MAX_REPEAT and argument[0] != argument[1]:
            if inside:
                return "nests repetitions"
            repeats += 1
            if argument[0] > MAX_TIMES or MAX_TIMES < argument[1] < codes.MAXREPEAT:
                return f"repeats more than {MAX_TIMES} times"
        elif operation is codes.MAX_REPEAT and argument[0] > MAX_TIMES:
            return f"repeats more than {MAX_TIMES} times"
    return f"has more than {MAX_REPEATS} open repetitions" if repeats > MAX_REPEATS else None


def _walk(tree: Any, *, inside: bool) -> Iterator[tuple[Any, Any, bool]]:
    """Every operation, its argument, and whether a repetition holds it."""
    for operation, argument in tree:
        yield operation, argument, inside
        match operation:
            case codes.MAX_REPEAT:
                yield from _walk(argument[2], inside=True)
            case codes.SUBPATTERN:
                yield from _walk(argument[3], inside=inside)
            case codes.BRANCH:
                for branch in argument[1]:
                    yield from _walk(branch, inside=inside)
