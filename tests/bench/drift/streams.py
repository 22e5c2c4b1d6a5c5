"""Streams made from the pools: a reference, then events, with or without a change.

Every row is a draw with replacement; a stream depends on its scenario and seed alone. The
log-probability is simulated (no engine answers here): a direction of the embedding, so that
topics move it, and noise of 0.08 nat. A behaviour change lowers it by half of that noise.
"""

import zlib
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tests.bench.drift import texts

Floats = NDArray[np.float64]
Places = NDArray[np.int64]

REFERENCE: Final = 2000
CHANGE: Final = 1000
AFTER: Final = 3000
QUIET: Final = 10_000
DAY: Final = 1000
STRATA: Final = 4
STICKS: Final = 25
BURST: Final = 10
NOISE: Final = 0.08
BASE: Final = {texts.BANK: 0.7, texts.CHAT: 0.2, texts.TRIVIA: 0.1}


@dataclass(frozen=True, slots=True)
class Pools:
    """All texts, domain after domain.

    Fields:
        vectors: ``(n, 384)`` float32 of length 1.
        words: ``(n,)`` words in the text.
        spans: first and last + 1 row of each domain.
    """

    vectors: NDArray[np.float32]
    words: Floats
    spans: dict[str, tuple[int, int]]


@dataclass(frozen=True, slots=True)
class Stream:
    """Events in order; the first `REFERENCE` are the reference.

    Fields:
        vectors: ``(n, 384)`` float32; length: ``(n,)`` words; language: ``(n,)`` 0 or 1;
        logprob: ``(n,)`` nats; episode, stratum: ``(n,)``.
        change: index among the events after the reference, None when nothing changes.
    """

    vectors: NDArray[np.float32]
    length: Floats
    language: Places
    logprob: Floats
    episode: Places
    stratum: Places
    change: int | None


@dataclass(frozen=True, slots=True)
class Scenario:
    """What the stream does.

    Fields:
        added: domain that joins at the change; share: its part of the traffic then.
        ramp: events over which the share grows to its full size.
        rhythm: '' or the break of exchangeability, without any change.
        about: the signal that should see it.
        events: watched when nothing changes.
    """

    name: str
    added: str = ""
    share: float = 0.0
    ramp: int = 0
    rhythm: str = ""
    about: str = "embedding"
    length_factor: float = 1.0
    logprob_step: float = 0.0
    events: int = QUIET

    @property
    def quiet(self) -> bool:
        return not self.added and self.length_factor == 1.0 and not self.logprob_step


QUIETS: Final = (
    Scenario("no_change"),
    Scenario("bursty", rhythm="bursty"),
    Scenario("sticky", rhythm="sticky"),
    Scenario("seasonal", rhythm="seasonal"),
)
LONG: Final = Scenario("long", events=100_000)
CHANGES: Final = (
    Scenario("far100", texts.FAR, 1.0),
    Scenario("far25", texts.FAR, 0.25),
    Scenario("far10", texts.FAR, 0.1),
    Scenario("near25", texts.NEAR, 0.25),
    Scenario("near10", texts.NEAR, 0.1),
    Scenario("held_far25", texts.HELD_FAR, 0.25),
    Scenario("held_near25", texts.HELD_NEAR, 0.25),
    Scenario("held_near10", texts.HELD_NEAR, 0.1),
    Scenario("gradual", texts.FAR, 0.5, ramp=5000),
    Scenario("language10", texts.LANGUAGES, 0.1, about="language"),
    Scenario("length", length_factor=1.25, about="length"),
    Scenario("behaviour", logprob_step=-NOISE / 2, about="logprob"),
)
_PLAIN: Final = Scenario("reference")
SCENARIOS: Final = {scenario.name: scenario for scenario in (*QUIETS, LONG, *CHANGES)}


def stream(pools: Pools, scenario: Scenario, seed: int) -> Stream:
    """The reference depends on the rhythm and the seed alone, the events on the scenario too."""
    before = _events(pools, replace(_PLAIN, rhythm=scenario.rhythm), seed, REFERENCE, None)
    watched = scenario.events if scenario.quiet else CHANGE + max(AFTER, scenario.ramp + 1000)
    after = _events(pools, scenario, seed, watched, None if scenario.quiet else CHANGE)
    return Stream(
        vectors=np.concatenate([before.vectors, after.vectors]),
        length=np.concatenate([before.length, after.length]),
        language=np.concatenate([before.language, after.language]),
        logprob=np.concatenate([before.logprob, after.logprob]),
        episode=np.concatenate([before.episode, after.episode + REFERENCE]),
        stratum=np.concatenate([before.stratum, after.stratum]),
        change=after.change,
    )


def _events(pools: Pools, scenario: Scenario, seed: int, count: int, change: int | None) -> Stream:
    random = np.random.default_rng((zlib.crc32(scenario.name.encode()), seed))
    since = np.arange(count) - (count if change is None else change)
    rows, episode = _RHYTHMS[scenario.rhythm](pools, random, count)
    share = scenario.share * np.clip((since + 1) / max(scenario.ramp, 1), 0, 1)
    if scenario.added:
        joins = random.random(count) < share
        rows = np.where(joins, _draw(pools, random, scenario.added, count), rows)
    vectors = pools.vectors[rows]
    direction = np.random.default_rng(seed).normal(size=vectors.shape[1])
    logprob = -1.2 + 0.05 * vectors @ direction + random.normal(0, NOISE, count)
    start, end = pools.spans[texts.LANGUAGES]
    return Stream(
        vectors=vectors,
        length=pools.words[rows] * np.where(since >= 0, scenario.length_factor, 1.0),
        language=((rows >= start) & (rows < end)).astype(np.int64),
        logprob=logprob + np.where(since >= 0, scenario.logprob_step, 0.0),
        episode=episode,
        stratum=_part(count),
        change=change,
    )


def _part(count: int) -> Places:
    """Part of the day of each event."""
    return np.asarray(np.arange(count) * STRATA // DAY % STRATA, np.int64)


def _draw(pools: Pools, random: np.random.Generator, domain: str, count: int) -> Places:
    start, end = pools.spans[domain]
    return random.integers(start, end, count)


def _mixed(pools: Pools, random: np.random.Generator, domains: Places) -> Places:
    """One row for each place of ``domains``, which count in `BASE`."""
    drawn = np.stack([_draw(pools, random, domain, len(domains)) for domain in BASE])
    return np.asarray(drawn[domains, np.arange(len(domains))], np.int64)


def _steady(pools: Pools, random: np.random.Generator, count: int) -> tuple[Places, Places]:
    domains = random.choice(len(BASE), size=count, p=list(BASE.values()))
    return _mixed(pools, random, domains), np.arange(count)


def _bursty(pools: Pools, random: np.random.Generator, count: int) -> tuple[Places, Places]:
    """One request in ten is repeated, ten times on average: retries of one episode."""
    sizes = np.where(random.random(count) < 0.1, 1 + random.geometric(1 / BURST, count), 1)
    episode = np.repeat(np.arange(count), sizes)[:count]
    rows, _ = _steady(pools, random, count)
    return rows[episode], episode


def _sticky(pools: Pools, random: np.random.Generator, count: int) -> tuple[Places, Places]:
    """The domain stays for 25 events on average."""
    turns = np.cumsum(random.random(count) < 1 / STICKS)
    domains = random.choice(len(BASE), size=count + 1, p=list(BASE.values()))[turns]
    return _mixed(pools, random, domains), np.arange(count)


def _seasonal(pools: Pools, random: np.random.Generator, count: int) -> tuple[Places, Places]:
    """Four parts of a day of 1,000 events, each with its own mix; the mean is the base mix."""
    chat = np.array([0.02, 0.2, 0.38, 0.2])[_part(count)]
    mixes = np.stack([0.9 - chat, chat, np.full(count, 0.1)], axis=1)
    domains = (random.random(count)[:, None] > np.cumsum(mixes, axis=1)).sum(axis=1)
    return _mixed(pools, random, np.minimum(domains, 2)), np.arange(count)


_RHYTHMS: Final = {"": _steady, "bursty": _bursty, "sticky": _sticky, "seasonal": _seasonal}
