"""Bets against uniform p-values: predictable densities on [0, 1], constant on each cell.

[0, 1] is cut into K pieces whose widths are the cells' shares, in the event's stratum, at the
start of a block. A bet is a density f with integral 1; its e-value for a p-value in piece b is
f(b). Under uniform p-values E[f(p)] = 1, whatever the past made of f.
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


@cache
def fading(size: int) -> tuple[Floats, Floats]:
    """``(H, size)`` weights of a block's events, the last one 1, and ``(H, 1)`` of all before."""
    halves = np.array(HALF_LIVES)[:, None]
    return 0.5 ** (np.arange(size - 1, -1, -1) / halves), 0.5 ** (size / halves)


def plug_in(widths: Floats, seen: Floats, expected: Floats, hits: Cells) -> Floats:
    """Log e-value of a block for each half-life: bets that what grew lately goes on growing.

    ``q_b ~ width_b (N_b + k mean_b) / (X_b + k mean_b)``, density ``q_b / width_b``: the tilt N / X
    is shared by the strata, the widths are each event's own.

    Args:
        widths: ``(B, K)``, each row summing to 1: of the event's stratum.
        seen, expected: ``(H, K)`` N and X, decayed counts in events.
        hits: ``(B,)`` pieces that the block's p-values fell into.
    """
    prior = PRIOR_EVENTS * widths.mean(axis=0)
    ratios = (seen + prior) / (expected + prior)
    logs = np.log(ratios)[:, hits] - np.log(ratios @ widths.T)
    return np.asarray(logs.sum(axis=1))


def contamination(widths: Floats, sets: Masks, hits: Cells) -> Floats:
    """Log e-value of a block for each set A and contamination e.

    With u the width of A: ``1 + (1 - u) e / u`` inside, ``1 - e`` outside; the mean is 1.

    Returns:
        ``(S * 3,)``, contamination by contamination.
    """
    shares = widths @ sets.T
    inside = sets.T[hits]
    odds = inside * ((1 - shares) / shares)
    outside = len(hits) - inside.sum(axis=0)
    logs = [
        np.log1p(odds * part).sum(axis=0) + outside * np.log1p(-part) for part in CONTAMINATIONS
    ]
    return np.concatenate(logs)
