"""Data to try `perennial` with: ``python -m infra.demo.sample DIRECTORY``.

``pairs.jsonl`` holds a bank's questions and answers as the demo uploads them, ``history.csv``
made-up latencies that grow by a fifth after 1,000 events, for `perennial drift score`.
"""

import csv
import json
import random
import sys
from pathlib import Path
from typing import Final

from infra.demo import data
from infra.demo.data import Pair
from infra.demo.scale import FULL

REFERENCE: Final = 1000
QUIET: Final = 1000
STREAM: Final = 2000


def line(pair: Pair) -> str:
    """A record as `perennial ingest` reads it."""
    labels = {"segment": pair.segment}
    return json.dumps(
        {"prompt": pair.question, "answer": pair.answer, "group": pair.group, "labels": labels}
    )


def history(seed: int = 1) -> list[tuple[bool, float]]:
    """(belongs to the reference, milliseconds) per event, in time order."""
    drawn = random.Random(seed)  # noqa: S311  # made-up figures
    slower = [1.0] * (REFERENCE + QUIET) + [1.2] * (STREAM - QUIET)
    return [
        (at < REFERENCE, round(400 * times * drawn.lognormvariate(0, 0.4), 1))
        for at, times in enumerate(slower)
    ]


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    bank = data.ordered(data.bank_pairs(data.SITE_PACKAGES), "bank")
    pairs = [pair for pair in bank if not data.is_live(pair)][: FULL.upload]
    (folder / "pairs.jsonl").write_text("".join(f"{line(pair)}\n" for pair in pairs))
    with (folder / "history.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("reference", "latency_ms"), *history()])
    print(f"{folder / 'pairs.jsonl'}: {len(pairs)} records; {folder / 'history.csv'}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
