"""What an alarm shows: prompts before and after, and the words that tell them apart."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Final

import numpy as np

from services.monitor.domain.partition import Cells

EXAMPLES: Final = 5
TERMS: Final = 8
WORD: Final = re.compile(r"[^\W\d_]{3,}")
SURE: Final = 1.65


def distinct(prompts: Iterable[str]) -> tuple[str, ...]:
    """The first five different ones."""
    return tuple(dict.fromkeys(prompts))[:EXAMPLES]


def recent(prompts: Sequence[str], cells: Cells, cell: int) -> list[str]:
    """The newest first: prompts, oldest first, whose ``(n,)`` cells are ``cell``."""
    return [prompts[int(place)] for place in np.flatnonzero(cells == cell)[::-1]]


def before(prompts: Sequence[str], cells: Cells, cell: int, ordered: bool) -> list[str]:
    """The reference's prompts in the cell; of ordered cells that it has not, in the nearest.

    A cluster that the reference hardly knows has nothing near it to show.
    """
    known = cells[cells >= 0]
    if not len(known):
        return []
    if ordered and not (cells == cell).any():
        cell = int(known[np.argmin(np.abs(known - cell))])
    return [prompts[int(place)] for place in np.flatnonzero(cells == cell)]


def terms(after: Sequence[str], former: Sequence[str]) -> tuple[str, ...]:
    """The words that tell ``after`` from ``former``, the clearest first, at most eight.

    Log-odds of each word with a Dirichlet prior of the two together, over its standard
    deviation; at least 1.65 (Monroe, Colaresi and Quinn, Fightin' Words, 2008). A word counts
    once a prompt.
    """
    new, old = _counts(after), _counts(former)
    both = new + old
    if not new or not old or len(both) == 1:
        return ()
    total_new, total_old, total = new.total(), old.total(), both.total()
    prior = 0.1 * min(total_new, total_old) / total
    scored: list[tuple[float, str]] = []
    for word, count in new.items():
        weight = prior * both[word]
        mine, theirs = count + weight, old[word] + weight
        rest_mine = total_new + prior * total - mine
        rest_theirs = total_old + prior * total - theirs
        odds = np.log(mine / rest_mine) - np.log(theirs / rest_theirs)
        scored.append((float(odds / np.sqrt(1 / mine + 1 / theirs)), word))
    scored.sort(key=lambda item: (-item[0], item[1]))
    return tuple(word for score, word in scored[:TERMS] if score >= SURE)


def _counts(prompts: Sequence[str]) -> "Counter[str]":
    return Counter(word for prompt in prompts for word in set(WORD.findall(prompt.lower())))
