"""``python -m tests.bench.serving [CELL ...]``; ``ROUNDS`` and ``SECONDS`` shorten it."""

import os
import sys
import tempfile
from pathlib import Path

from tests.bench.serving.cells import CELLS
from tests.bench.serving.figures import show, write
from tests.bench.serving.gateways import VERSIONS
from tests.bench.serving.processes import BENCH, keep_nice


def main(wanted: list[str]) -> int:
    unknown = set(wanted) - set(CELLS)
    if unknown:
        print(f"no cell {', '.join(sorted(unknown))}; there are {', '.join(CELLS)}")
        return 2
    rounds, seconds = int(os.environ.get("ROUNDS", "5")), float(os.environ.get("SECONDS", "5"))
    keep_nice(os.getpid())
    results = []
    for name in wanted or list(CELLS):
        print(f"bench: {name}", flush=True)
        with tempfile.TemporaryDirectory(prefix=f"bench-{name}-") as work:
            found = CELLS[name](Path(work), rounds, seconds)
        results += found
        write(BENCH / "serving.json", found, VERSIONS)
    show(results)
    return 0 if all(result.met is not False for result in results) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
