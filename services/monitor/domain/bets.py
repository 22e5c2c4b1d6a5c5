"""Bets against uniform p-values: predictable densities on [0, 1], constant on each cell.

[0, 1] is cut into K pieces whose widths are the cells' shares at the start of a block. A bet
is a density f with integral 1; its e-value for a p-value in piece b is f(b). Under
uniform p-values E[f(p)] = 1, whatever the past made of f.
"""

from functools import cache

import numpy as np
from numpy.typing import NDArray

from services.monitor.domain.partition import Cells, Floats

HALF_LIVES = (30.0, 120.0, 500.0, 2000.0)
PRIOR_EVENTS = 15.0
CONTAMINATIONS = (0.03, 0.1, 0.3)

Masks = NDArray[np.float64]


@cache
def suspects(cells: int, ordered: bool) -> Masks:
    """``(S, K)`` 0/1: the sets whose share a static bet expects to grow.

    Nominal cells: each alone. Ordered cells: every lower and every upper tail.
    """
    if not ordered:
        return np.eye(cells)
    lower = np.tril(np.ones((cells, cells)))[:-1]
    return np.concatenate([lower, 1 - lower])


@cache
def log_weights(cells: int, ordered: bool) -> Floats:
    """``(J,)``: half of the stake on the plug-in bets, half on the static ones, evenly each."""
    static = len(suspects(cells, ordered)) * len(CONTAMINATIONS)
    plug_in = np.full(len(HALF_LIVES), 0.5 / len(HALF_LIVES))
    return np.asarray(np.log(np.concatenate([plug_in, np.full(static, 0.5 / max(static, 1))])))


def plug_in(widths: Floats, seen: Floats, expected: Floats, hits: Cells) -> Floats:
    """Log e-value of a block for each half-life: bets that what grew lately goes on growing.

    ``q_b ~ width_b (N_b + k width_b) / (X_b + k width_b)``, density ``q_b / width_b``.

    Args:
        widths: ``(K,)`` summing to 1.
        seen, expected: ``(H, K)`` N and X, decayed counts in events.
        hits: ``(B,)`` pieces that the block's p-values fell into.
    """
    prior = PRIOR_EVENTS * widths
    ratios = (seen + prior) / (expected + prior)
    logs = np.log(ratios) - np.log(ratios @ widths)[:, None]
    return np.asarray(logs[:, hits].sum(axis=1))


def contamination(widths: Floats, sets: Masks, hits: Cells) -> Floats:
    """Log e-value of a block for each set A and contamination e.

    With u the width of A: ``1 + (1 - u) e / u`` inside, ``1 - e`` outside; the mean is 1.

    Returns:
        ``(S * 3,)``, contamination by contamination.
    """
    shares = sets @ widths
    inside = sets[:, hits].sum(axis=1)
    logs = [
        inside * np.log1p((1 - shares) * part / shares) + (len(hits) - inside) * np.log1p(-part)
        for part in CONTAMINATIONS
    ]
    return np.concatenate(logs)
