"""Bets against uniform p-values: predictable densities on [0, 1], constant on each cell.

[0, 1] is cut into K pieces whose widths are the cells' shares, in the event's stratum, at the
start of a block. A bet is a density f with integral 1; its e-value for a p-value in piece b is
f(b). Under uniform p-values E[f(p)] = 1, whatever the past made of f.
"""

from functools import cache

import numpy as np
from numpy.typing import NDArray

from services.monitor.domain.partition import Cells, Floats
from services.monitor.domain.ranking import indicators

HALF_LIVES = (30.0, 120.0, 500.0, 2000.0)
PRIOR_EVENTS = 15.0
CONTAMINATIONS = (0.03, 0.1, 0.3)
LEAST_SHARE = 1e-12

_PARTS = np.array(CONTAMINATIONS)[:, None, None, None]

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


@cache
def _ones(size: int) -> Floats:
    return np.ones((1, size))


def gains(widths: Floats, seen: Floats, expected: Floats, sets: Masks, hits: Cells) -> Floats:
    """Log e-values of one block of each of D detectors.

    Args:
        widths: ``(D, B, K)``, each row summing to 1: of the event's stratum.
        seen, expected: ``(D, H, K)`` N and X, decayed counts in events.
        sets: ``(D, S, K)``.
        hits: ``(D, B)`` pieces that the block's p-values fell into.
    Returns:
        ``(D, H + 3 S)``: `plug_in`, then `contamination`.
    """
    static = contamination(widths, sets, hits)
    return np.concatenate([plug_in(widths, seen, expected, hits), static], axis=1)


def plug_in(widths: Floats, seen: Floats, expected: Floats, hits: Cells) -> Floats:
    """Bets that what grew lately goes on growing, ``(D, H)``, one for each half-life.

    ``q_b ~ width_b (N_b + k mean_b) / (X_b + k mean_b)``, density ``q_b / width_b``: the tilt
    N / X is shared by the strata, the widths are each event's own.
    """
    once = _ones(hits.shape[1])
    prior = PRIOR_EVENTS / hits.shape[1] * (once @ widths)
    ratios = (seen + prior) / (expected + prior)
    landed = once @ indicators(widths.shape[2]).take(hits, axis=0)
    means = ratios @ widths.transpose(0, 2, 1)
    logs = np.log(ratios) @ landed.transpose(0, 2, 1)
    return np.asarray(logs[:, :, 0] - np.log(means).sum(axis=2))


def contamination(widths: Floats, sets: Masks, hits: Cells) -> Floats:
    """Bets on each set A with each contamination e, ``(D, 3 S)``, contamination by contamination.

    With u the width of A: ``1 + (1 - u) e / u`` inside, ``1 - e`` outside; the mean is 1. A set
    without cells is no bet.
    """
    once, columns = _ones(hits.shape[1]), sets.transpose(0, 2, 1)
    shares = widths @ columns
    inside = columns[np.arange(len(columns))[:, None], hits]
    odds = inside * ((1 - shares) / np.maximum(shares, LEAST_SHARE))
    outside = hits.shape[1] - once @ inside
    logs = once @ np.log1p(odds * _PARTS) + outside * np.log1p(-_PARTS)
    return np.asarray(logs.transpose(1, 2, 0, 3).reshape(len(hits), -1))
