"""Values that stop arriving: which of them an event lacks is a category like any other."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from services.monitor.domain.fitting import MISSING, Fit
from services.monitor.domain.part import Part
from services.monitor.domain.partition import Cells
from services.monitor.domain.scalar import fit_words

MOSTLY = 0.9
NONE = "none"
PLAIN = 4.0
"""Standard deviations."""


def mostly(reference: Part, places: Cells) -> list[str]:
    """Signals whose values nearly all of the fit part's events have."""
    return [name for name in reference.columns if reference.known(name)[places].mean() >= MOSTLY]


def marked(part: Part, names: Sequence[str]) -> Part:
    """With one word more for each event: the first of these signals that it has no value of."""
    if not names:
        return part
    known = np.array([*(part.known(name) for name in names), np.zeros(len(part), bool)])
    words = [*names, NONE]
    first = np.argmin(known, axis=0)
    return replace(part, words=part.words | {MISSING: [words[place] for place in first]})


def named(known: Fit, reference: Part, places: Cells, names: Sequence[str]) -> Fit:
    """With a cell for each of these signals, were it never missing in the fit part."""
    if not names:
        return known
    words = [reference.words[MISSING][place] for place in places]
    return replace(known, words=known.words | {MISSING: fit_words([*words, *names])})


def rarer(reference: Part, stream: Part, names: Sequence[str]) -> list[str]:
    """One line for each of these signals that plainly fewer events have a value of: no alarm."""
    found: list[str] = []
    for name in names:
        was, now = reference.known(name).mean(), stream.known(name).mean()
        spread = np.sqrt(was / len(stream) + was / len(reference))
        if was - now > PLAIN * spread:
            found.append(f"{name}: known in {was:.0%} of the reference, in {now:.0%} of the stream")
    return found
