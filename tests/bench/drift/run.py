"""``python -m tests.bench.drift.run SIDE --seeds N``: what is not in the cache yet is run.

SIDE ``ours`` in the platform's environment; ``peers`` in the bench's own.
"""

import argparse
from collections.abc import Callable, Iterator
from functools import lru_cache, partial

from rich.progress import track
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from tests.bench.drift import cache
from tests.bench.drift.streams import CHANGES, LONG, QUIETS, SCENARIOS, Pools, Scenario, stream

RUN_LENGTHS = (10_000, 100_000)
TOPICS = tuple(scenario.name for scenario in CHANGES if scenario.about == "embedding")
SLOW = ("no_change", "far25", "near25", "far10", "near10", "held_far25", "held_near25")

Job = tuple[str, str, int, Callable[[], dict[str, cache.Run]]]


def ours(pools: Pools, seeds: int) -> Iterator[Job]:
    from tests.bench.drift.ours import curves, monitor

    def statistics(name: str, seed: int) -> dict[str, cache.Run]:
        return curves(stream(pools, SCENARIOS[name], seed), seed)

    def watched(what: Scenario, seed: int, length: int) -> dict[str, cache.Run]:
        return {f"monitor@{length}": monitor(stream(pools, what, seed), what, length, seed)}

    for seed in range(seeds):
        for name in ("no_change", LONG.name, *TOPICS):
            yield "embedding", name, seed, partial(statistics, name, seed)
        for length in RUN_LENGTHS:
            for what in (*QUIETS, LONG, *CHANGES) if length == max(RUN_LENGTHS) else QUIETS:
                yield f"monitor@{length}", what.name, seed, partial(watched, what, seed, length)


def peers(pools: Pools, seeds: int, slow_seeds: int) -> Iterator[Job]:
    from tests.bench.drift.peers import Mmd, adwin, evidently, evidently_report

    def averaged(what: Scenario, seed: int) -> dict[str, cache.Run]:
        return {"adwin": adwin(stream(pools, what, seed), what, seed)}

    def classified(name: str, seed: int) -> dict[str, cache.Run]:
        return {"evidently": evidently(stream(pools, SCENARIOS[name], seed))}

    def reported() -> dict[str, cache.Run]:
        return {"evidently_report": evidently_report(stream(pools, SCENARIOS["no_change"], 0))}

    @lru_cache(maxsize=1)
    def configured(seed: int) -> Mmd:
        return Mmd(stream(pools, SCENARIOS["no_change"], seed))

    def compared(name: str, seed: int) -> dict[str, cache.Run]:
        return {"alibi": configured(seed).run(stream(pools, SCENARIOS[name], seed))}

    for seed in range(seeds):
        for scenario in (*QUIETS, *CHANGES):
            yield "adwin", scenario.name, seed, partial(averaged, scenario, seed)
    yield "evidently_report", "no_change", 0, reported
    for seed in range(slow_seeds):
        for name in SLOW:
            yield "evidently", name, seed, partial(classified, name, seed)
    for seed in range(slow_seeds):
        for name in SLOW:
            yield "alibi", name, seed, partial(compared, name, seed)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("side", choices=("ours", "peers"))
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--slow-seeds", type=int, default=3)
    parser.add_argument("--only", default="", help="systems whose name begins so")
    chosen = parser.parse_args()
    pools = cache.pools()
    jobs = (
        ours(pools, chosen.seeds)
        if chosen.side == "ours"
        else peers(pools, chosen.seeds, min(chosen.seeds, chosen.slow_seeds))
    )
    chosen_jobs = (job for job in jobs if job[0].startswith(chosen.only))
    missing = [job for job in chosen_jobs if not cache.path(*job[:3]).exists()]
    with threadpool_limits(limits=1):
        for _, scenario, seed, work in track(missing, f"drift: {chosen.side}"):
            for system, run in work().items():
                cache.keep(system, scenario, seed, run)


if __name__ == "__main__":
    main()
