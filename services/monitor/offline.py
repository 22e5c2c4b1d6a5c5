"""The detectors over a history that is already there."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Finding:
    """One alarm. ``t``: index of the event into the stream's arrays; the rest as in `Alarm`."""

    t: int
    signal: str
    statistic: float
    threshold: float
    cause: str


def score(
    arrays: Mapping[str, NDArray[Any]], average_run_length: float = 10_000.0
) -> list[Finding]:
    """Every alarm in the order of the stream; each signal restarts after its alarm.

    Args:
        arrays: ``emb``, ``ref_emb`` and the others as in `perennial drift score`.
    """
    raise NotImplementedError
