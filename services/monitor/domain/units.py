"""Numbers of signals as people read them: milliseconds, characters, money."""

from collections.abc import Callable, Sequence
from itertools import pairwise
from math import exp, expm1
from typing import Final

from services.monitor.domain.partition import Floats

WHOLE: Final = 1000.0


def plain(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= WHOLE else f"{value:.3g}"


def duration(seconds: float) -> str:
    return f"{plain(1000 * seconds)} ms" if seconds < 1 else f"{plain(seconds)} s"


READ: Final[dict[str, Callable[[float], str]]] = {
    "length": lambda binned: f"{expm1(binned):,.0f}",
    "latency": lambda binned: duration(exp(binned)),
    "cost": lambda binned: plain(exp(binned)),
    "mean_logprob": lambda binned: f"{plain(binned)} nats per token",
}


def marks(signal: str, edges: Floats, unit: str = "") -> list[str]:
    """The ``(n,)`` edges between a signal's cells, each as a text with its unit.

    Args:
        edges: as `fitting.Table` has the signal's numbers, growing.
        unit: of lengths and costs, where it is known.
    """
    read = READ.get(signal, plain)
    return [f"{read(edge)} {unit}".rstrip() for edge in edges.tolist()]


def labels(edges: Sequence[str]) -> list[str]:
    """Names of the cells between the `marks`; one from a value to the same is that value."""
    inner = [a if a == b else f"{a} to under {b}" for a, b in pairwise(edges)]
    return [f"under {edges[0]}", *inner, at_least(edges, len(edges) - 1)]


def at_least(edges: Sequence[str], place: int) -> str:
    """What lies above a mark."""
    single = place > 0 and edges[place - 1] == edges[place]
    return f"over {edges[place]}" if single else f"{edges[place]} or more"


def below(edges: Sequence[str], place: int) -> str:
    """What lies below a mark."""
    single = place > 0 and edges[place - 1] == edges[place]
    return f"{edges[place]} or less" if single else f"under {edges[place]}"


def percent(share: float) -> str:
    """Whole percents, of the rarest their first digit."""
    return f"{100 * share:.0f} %" if share >= 0.01 or not share else f"{100 * share:.1g} %"
