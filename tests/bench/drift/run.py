"""``python -m tests.bench.drift.run SIDE --seeds N``: what is not in the cache yet is run.

SIDE ``ours`` in the platform's environment; ``peers`` in the bench's own.
"""

import argparse
from collections.abc import Callable, Iterator

from rich.progress import track
from threadpoolctl import threadpool_limits

from tests.bench.drift import cache
from tests.bench.drift.streams import CHANGES, QUIETS, SCENARIOS, Pools, Scenario, stream

RUN_LENGTHS = (10_000, 100_000)
TOPICS = tuple(scenario.name for scenario in CHANGES if scenario.about == "embedding")
SLOW = ("no_change", "far25", "near25", "far10", "near10", "held_far25", "held_near25")

Job = tuple[str, str, int, Callable[[], dict[str, cache.Run]]]


def ours(pools: Pools, seeds: int) -> Iterator[Job]:
    from tests.bench.drift.ours import curves, monitor

    for seed in range(seeds):
        for name in ("no_change", *TOPICS):
            yield (
                "embedding",
                name,
                seed,
                lambda n=name, s=seed: curves(stream(pools, SCENARIOS[n], s), s),
            )
        for length in RUN_LENGTHS:
            scenarios = (*QUIETS, *CHANGES) if length == max(RUN_LENGTHS) else QUIETS
            for scenario in scenarios:
                system = f"monitor@{length}"

                def watched(
                    what: Scenario = scenario, s: int = seed, arl: int = length, to: str = system
                ) -> dict[str, cache.Run]:
                    return {to: monitor(stream(pools, what, s), what, arl, s)}

                yield system, scenario.name, seed, watched


def peers(pools: Pools, seeds: int, slow_seeds: int) -> Iterator[Job]:
    from tests.bench.drift.peers import Mmd, adwin, evidently

    for seed in range(seeds):
        for scenario in (*QUIETS, *CHANGES):
            yield (
                "adwin",
                scenario.name,
                seed,
                lambda what=scenario, s=seed: {"adwin": adwin(stream(pools, what, s), what, s)},
            )
    for seed in range(slow_seeds):
        for name in SLOW:
            yield (
                "evidently",
                name,
                seed,
                lambda n=name, s=seed: {"evidently": evidently(stream(pools, SCENARIOS[n], s))},
            )
    for seed in range(slow_seeds):
        made: list[Mmd] = []

        def mmd(name: str, seed: int = seed, made: list[Mmd] = made) -> dict[str, cache.Run]:
            events = stream(pools, SCENARIOS[name], seed)
            if not made:
                made.append(Mmd(events))
            return {"alibi": made[0].run(events)}

        for name in SLOW:
            yield "alibi", name, seed, lambda n=name, run=mmd: run(n)


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
