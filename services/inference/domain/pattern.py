"""Regular expressions of strangers: which can be matched in bounded time, and mean the same to an
engine and to Python."""

import re
from collections.abc import Iterator
from functools import lru_cache
from itertools import pairwise
from math import comb, inf, prod
from re import _constants as codes  # type: ignore[attr-defined]  # what sre_parse has become
from re import _parser as parser  # type: ignore[attr-defined]
from typing import Any, Final

MAX_PATTERN: Final = 256
MAX_TEXT: Final = 512
"""Characters that a pattern is matched against."""
MAX_REPEATS: Final = 3
"""Open repetitions in one pattern: each is another power of the text's length."""
MAX_TIMES: Final = 256
MAX_SPELLED: Final = 512
"""Characters of the pattern once its repetitions are spelled out, as engines do."""
MAX_WAYS: Final = 1024
"""Through alternatives that begin alike: each is tried with all that follows it."""
WIDE: Final = 8
"""What a character that may be almost any counts: engines look at all their tokens for it."""
PLAIN: Final = frozenset(
    {
        *(codes.LITERAL, codes.NOT_LITERAL, codes.ANY, codes.IN, codes.AT),
        *(codes.BRANCH, codes.SUBPATTERN, codes.MAX_REPEAT, codes.CATEGORY),
    }
)
NOT: Final = frozenset(
    (codes.CATEGORY, each)
    for each in (codes.CATEGORY_NOT_DIGIT, codes.CATEGORY_NOT_SPACE, codes.CATEGORY_NOT_WORD)
)
ESCAPE: Final = r"\\[dDwWsSnrtfv^$.*+?\\()\[\]{}|/-]|\\x[0-9A-Fa-f]{2}|\\u[0-9A-Fa-f]{4}"
ONE: Final = rf"(?:{ESCAPE}|[^\[\]\\^-])"
CLASS: Final = rf"\[\^?-?(?:{ONE}(?:-{ONE})?)+-?\]"
TOKEN: Final = re.compile(
    rf"{CLASS}|{ESCAPE}|\((?:\?:|(?!\?))|\{{\d+(?:,\d*)?\}}|[)|*+?^$.]|[^\\\[\](){{}}|*+?^$.]"
)
"""A piece of the dialect that Python and the engines share."""
OPENING: Final = frozenset({"", "(", "(?:", "|"})
CLOSING: Final = frozenset({"", ")", "|"})


def why_not(pattern: str) -> str | None:
    """Why ``pattern`` is not taken; None when it is."""
    if len(pattern) > MAX_PATTERN:
        return f"is above {MAX_PATTERN} characters"
    pieces = _pieces(pattern)
    if (known := sum(map(len, pieces))) < len(pattern):
        return f"is broken or not supported from {pattern[known : known + 16]!r} on"
    try:
        tree = parser.parse(pattern)
        re.compile(pattern)
    except (re.error, RecursionError, OverflowError) as error:
        return f"is no regular expression: {str(error)[:100]}"
    return _why_hollow(pieces) or _why_costly(tree)


def tries(pattern: str, length: int) -> int:
    """About how many characters are looked at when ``pattern``, which is one that is taken, is
    sought in vain in a text of ``length``."""
    each, parts = _weighed(pattern)
    return each * comb(length + parts, parts)


@lru_cache(maxsize=256)
def _weighed(pattern: str) -> tuple[int, int]:
    """Tries of each division of a text, and in how many parts: one for each open repetition, and
    one for what stands before the match."""
    tree = parser.parse(pattern)
    walked = _walk(tree, inside=False)
    repeats = sum(_is_open(operation, argument) for operation, argument, _ in walked)
    is_anchored = bool(tree) and tree[0] == (codes.AT, codes.AT_BEGINNING)
    return int(_ways(tree)) * (1 + _size(tree)), repeats + (not is_anchored)


@lru_cache(maxsize=256)
def spelled(pattern: str) -> int:
    """Characters of ``pattern``, which is one that is taken, once it is spelled out."""
    return _size(parser.parse(pattern))


def _is_open(operation: Any, argument: Any) -> bool:
    return operation is codes.MAX_REPEAT and argument[0] != argument[1]


def _why_costly(tree: Any) -> str | None:
    repeats = 0
    for operation, argument, inside in _walk(tree, inside=False):
        if operation not in PLAIN:
            return "looks around, refers back or is lazy, which is not supported"
        if operation is codes.AT and argument not in {codes.AT_BEGINNING, codes.AT_END}:
            return "has boundaries, which are not supported"
        if operation is codes.MAX_REPEAT and _times(argument) > MAX_TIMES:
            return f"repeats more than {MAX_TIMES} times"
        if _is_open(operation, argument):
            if inside:
                return "nests repetitions"
            repeats += 1
    if repeats > MAX_REPEATS:
        return f"has more than {MAX_REPEATS} open repetitions"
    if _size(tree) > MAX_SPELLED:
        return f"is too long spelled out: above {MAX_SPELLED}"
    if _ways(tree) > MAX_WAYS:
        return "repeats alternatives that begin alike, or has too many of them"
    return None


def _pieces(pattern: str) -> list[str]:
    """``pattern`` as far as Python's dialect is that of the engines."""
    pieces, at = [], 0
    while found := TOKEN.match(pattern, at):
        pieces.append(found[0])
        at = found.end()
    return pieces


def _why_hollow(pieces: list[str]) -> str | None:
    for before, after in pairwise(["", *pieces, ""]):
        if pieces and before in OPENING and after in CLOSING:
            return "has an empty alternative or group, which is not supported"
    return None


def _times(argument: Any) -> int:
    least, most, _ = argument
    return int(least if most is codes.MAXREPEAT else most)


def _size(tree: Any) -> int:
    size = 0
    for operation, argument in tree:
        match operation:
            case codes.MAX_REPEAT:
                size += max(1, _times(argument)) * _size(argument[2])
            case codes.SUBPATTERN:
                size += _size(argument[3])
            case codes.BRANCH:
                size += sum(_size(branch) for branch in argument[1])
            case _:
                size += WIDE if _is_wide(operation, argument) else 1
    return size


def _ways(tree: Any) -> float:
    """In how many ways one text may be matched, but for open repetitions; inf without a bound."""
    return prod(_ways_of(operation, argument) for operation, argument in tree)


def _ways_of(operation: Any, argument: Any) -> float:
    match operation:
        case codes.MAX_REPEAT:
            _, most, repeated = argument
            ways = _ways(repeated)
            return ways if ways == 1 else inf if most is codes.MAXREPEAT else ways**most
        case codes.SUBPATTERN:
            return _ways(argument[3])
        case codes.BRANCH:
            ways_of = [_ways(branch) for branch in argument[1]]
            return max(ways_of) if _begin_apart(argument[1]) else sum(ways_of)
    return 1


def _begin_apart(branches: Any) -> bool:
    """Whether the next character tells which of ``branches`` it is."""
    ranges: list[tuple[int, int]] = []
    for branch in branches:
        operation, argument = branch[0] if branch else (codes.ANY, None)
        members: Any = argument if operation is codes.IN else [(operation, argument)]
        for kind, member in members:
            if kind not in {codes.LITERAL, codes.RANGE}:
                return False
            ranges.append(member if kind is codes.RANGE else (member, member))
    return all(before[1] < after[0] for before, after in pairwise(sorted(ranges)))


def _is_wide(operation: Any, argument: Any) -> bool:
    if operation is codes.IN:
        return argument[0][0] is codes.NEGATE or any(each in NOT for each in argument)
    return operation in {codes.ANY, codes.NOT_LITERAL}


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
