"""Bets against uniform p-values: predictable densities on [0, 1], constant on each piece.

[0, 1] is cut into pieces, as wide as the fit part's shares of the cells: fixed before the first
p-value. A cell that grows a lot spreads its p-values over its neighbours' pieces, so wide ones
are cut once more. A bet is a density f with integral 1; its e-value for a p-value in piece b is
f(b). Under uniform p-values E[f(p)] = 1 whatever the p-values before made of f. Widths from the
rows that the p-values are ranked among would be sharper and wrong: they know of the ranks (at 100
rows a block's e-value then has mean 1.1, not 1).
"""

from functools import cache

import numpy as np
from numpy.typing import NDArray

from services.monitor.domain.partition import Floats

HALF_LIVES = (30.0, 120.0, 500.0, 2000.0)
PRIOR_EVENTS = 15.0
CONTAMINATIONS = (0.03, 0.1, 0.3)
WIDEST = 1 / 16
LEAST_SHARE = 1e-12

_PARTS = np.array(CONTAMINATIONS)[:, None, None]
_LOG_OUTSIDE = np.log1p(-np.array(CONTAMINATIONS))

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


def pieces(shares: Floats, ordered: bool) -> tuple[Floats, Masks]:
    """``(P,)`` widths and ``(S, P)`` `suspects`, from ``(K,)`` shares, each above 0, their sum 1.

    Of ordered cells each is a piece: tails hear a spreading cell as they are.
    """
    parts = np.ones(len(shares), int) if ordered else np.ceil(shares / WIDEST).astype(int)
    widths = np.repeat(shares / parts, parts)
    return widths, np.repeat(suspects(len(shares), ordered), parts, axis=1)


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


def plug_in(widths: Floats, seen: Floats, landed: Floats) -> Floats:
    """Bets that what grew lately goes on growing, one for each half-life.

    ``q_b ~ width_b (N_b + k width_b) / (n width_b + k width_b)`` with n the sum of N, density
    ``q_b / width_b``.

    Args:
        widths: ``(..., P)``, each row summing to 1; 0 where there is no piece.
        seen: ``(..., H, P)`` N, decayed counts of hit pieces.
        landed: ``(..., P)`` how many of the block's p-values fell into each piece.
    Returns:
        ``(..., H)`` log e-values of one block.
    """
    apart = np.maximum(widths, LEAST_SHARE)[..., None, :]
    events = seen.sum(axis=-1, keepdims=True)
    ratios = (seen / apart + PRIOR_EVENTS) / (events + PRIOR_EVENTS)
    means = (ratios @ widths[..., None])[..., 0]
    logs = (np.log(ratios) @ landed[..., None])[..., 0]
    return np.asarray(logs - landed.sum(axis=-1)[..., None] * np.log(means))


def contamination(widths: Floats, sets: Masks) -> Floats:
    """Bets on each set A with each contamination e.

    With u the width of A: ``1 + (1 - u) e / u`` inside, ``1 - e`` outside; the mean is 1. A set
    without cells is no bet.

    Args:
        widths: ``(D, P)``; sets: ``(D, S, P)``.
    Returns:
        ``(3, D, S)`` logs of the densities inside.
    """
    shares = np.maximum((sets @ widths[:, :, None])[:, :, 0], LEAST_SHARE)
    return np.asarray(np.log1p((1 - shares) / shares * _PARTS))


def static(inside: Floats, sets: Masks, landed: Floats) -> Floats:
    """`contamination`'s log e-values of a block, ``(..., 3 S)``; as `plug_in`."""
    fell = (sets @ landed[..., None])[..., 0]
    missed = landed.sum(axis=-1)[..., None] - fell
    found = [
        fell * odds + missed * log_outside
        for odds, log_outside in zip(inside, _LOG_OUTSIDE, strict=True)
    ]
    return np.concatenate(found, axis=-1)
