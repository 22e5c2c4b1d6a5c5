"""Verdicts, counted."""

from typing import Final

from prometheus_client import Counter

VERDICTS: Final = Counter(
    "perennial_records_judged_total",
    "Records and corrections judged: kept, or the code of the rejection",
    ["outcome"],
)


def count_verdict(outcome: str) -> None:
    VERDICTS.labels(outcome).inc()
