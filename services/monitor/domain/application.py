"""Everything the monitor knows of one application, folded record by record.

The fold is deterministic: the same records in the same order give the same state, the same
alarms at the same events and the same ids, wherever it was interrupted and taken up again.
"""

from dataclasses import dataclass, field
from typing import Literal

from services.monitor.domain.canary import Canary, Comparison, Phase, canary
from services.monitor.domain.decision import Decision, Policy, Trigger, drift_event_id
from services.monitor.domain.generation import Feedback, Generation
from services.monitor.domain.recent import Recent, recent
from services.monitor.domain.watch import Alarm, Sample, Watch, watch
from services.monitor.domain.windows import Windows

GENERATIONS = 8192
RELEASES = 8
CAMPAIGNS = 4


@dataclass(frozen=True, slots=True)
class Declared:
    """What the application's declaration says to the monitor; ``margin`` and ``alpha`` are the
    rollout's, ``collection`` is where its training rows come from."""

    revision: int = 0
    drift: Policy = field(default_factory=Policy)
    margin: float = 0.05
    alpha: float = 0.05
    collection: str = ""


@dataclass(frozen=True, slots=True)
class Rang:
    """An alarm with the id of its event; ``at`` in seconds since 1970."""

    event_id: str
    alarm: Alarm
    at: float


@dataclass(frozen=True, slots=True)
class Evidence:
    """The standing of a rollout's phase."""

    campaign: str
    name: Literal["shadow", "canary"]
    phase: Phase
    comparison: Comparison


Outcome = Rang | Trigger | Evidence


@dataclass(slots=True)
class Release:
    """One release: minutes for every role, a watch once it is champion."""

    windows: Windows = field(default_factory=Windows)
    watch: Watch | None = None


@dataclass(slots=True)
class Application:
    """The state of one application.

    Fields:
        seen: "topic/partition" -> last offset folded.
        generations: fingerprints of the last answers, for an answer that was sent twice.
        champion: release digest by the routing table; "" before the first one.
        touched: releases that changed since the state was stored.
    """

    name: str
    declared: Declared = field(default_factory=Declared)
    champion: str = ""
    routing_version: int = 0
    seen: dict[str, int] = field(default_factory=dict)
    generations: Recent = field(default_factory=lambda: recent(GENERATIONS))
    decision: Decision = field(default_factory=Decision)
    canaries: dict[str, Canary] = field(default_factory=dict)
    releases: dict[str, Release] = field(default_factory=dict)
    touched: set[str] = field(init=False, default_factory=set)

    def first(self, place: str, offset: int) -> bool:
        """Whether this record was not folded before; from now on it was."""
        if offset <= self.seen.get(place, -1):
            return False
        self.seen[place] = offset
        return True

    def declare(self, declared: Declared) -> None:
        """Take a newer declaration; a watch that has fitted keeps the one it began with."""
        if declared.revision < self.declared.revision:
            return
        self.declared = declared
        for digest, release in self.releases.items():
            if release.watch is not None and release.watch.fit is None:
                release.watch.wanted = self._watch(digest).wanted
                release.watch.average_run_length = declared.drift.average_run_length
                self.touched.add(digest)

    def crown(self, champion: str, version: int) -> None:
        """Follow the routing table: another champion takes a reference of its own.

        An older version of the table is left alone: it is read from its beginning at a start.
        """
        if version < self.routing_version:
            return
        self.routing_version = version
        if champion == self.champion:
            return
        self.champion = champion
        self.decision.crown()
        release = self.releases.get(champion)
        if release is not None and release.watch is not None and release.watch.watching:
            release.watch = None
            self.touched.add(champion)

    def serve(self, generation: Generation, now: float) -> list[Outcome]:
        """Fold one answer. ``now``: seconds since 1970, of the record."""
        if not self.generations.add(generation.generation_id):
            return []
        release = self._release(generation.release)
        release.windows.add(generation)
        if generation.campaign:
            self._canary(generation.campaign).serve(generation)
        rang = self._observe(release, generation, now)
        return [*rang, *self._decide(now)]

    def rate(self, feedback: Feedback, now: float) -> list[Outcome]:
        """Fold one version of some feedback."""
        if feedback.campaign:
            self._canary(feedback.campaign).rate(feedback)
        self.decision.correct(feedback)
        return self._decide(now)

    def settle(self) -> list[Outcome]:
        """Round off before the state is stored; the evidence of what changed in the rollouts."""
        for digest in self.touched:
            self.releases[digest].windows.settle()
        found: list[Outcome] = []
        for campaign, state in self.canaries.items():
            if state.shadow.changed:
                found.append(Evidence(campaign, "shadow", state.shadow, state.comparison))
            if state.canary.changed:
                found.append(Evidence(campaign, "canary", state.canary, state.comparison))
            state.shadow.changed = state.canary.changed = False
        return found

    def _observe(self, release: Release, generation: Generation, now: float) -> list[Outcome]:
        if generation.role != "champion" or generation.outcome != "answered":
            return []
        if release.watch is None:
            release.watch = self._watch(generation.release)
        alarms = release.watch.observe(
            Sample(
                generation_id=generation.generation_id,
                episode=generation.episode or generation.generation_id,
                prompt=generation.prompt,
                vector=generation.vector,
                logprob=generation.logprob,
            )
        )
        found: list[Outcome] = []
        for alarm in alarms:
            event_id = drift_event_id(self.name, alarm)
            if self.champion in ("", alarm.release):
                self.decision.ring(alarm, event_id)
            found.append(Rang(event_id, alarm, now))
        return found

    def _decide(self, now: float) -> list[Outcome]:
        trigger = self.decision.decide(self.declared.drift, now)
        return [trigger] if trigger is not None else []

    def _watch(self, digest: str) -> Watch:
        drift = self.declared.drift
        return watch(self.name, digest, drift.reference_events, drift.average_run_length)

    def _canary(self, campaign: str) -> Canary:
        if campaign not in self.canaries:
            self.canaries[campaign] = canary(self.declared.margin, self.declared.alpha)
            _forget(self.canaries, CAMPAIGNS, campaign)
        return self.canaries[campaign]

    def _release(self, digest: str) -> Release:
        self.touched.add(digest)
        if digest not in self.releases:
            self.releases[digest] = Release()
            forgotten = _forget(self.releases, RELEASES, self.champion)
            self.touched -= forgotten
        return self.releases[digest]


def _forget(kept: dict[str, Canary] | dict[str, Release], most: int, spared: str) -> set[str]:
    """Drop the oldest beyond ``most``."""
    old = [name for name in kept if name != spared][: max(0, len(kept) - most)]
    for name in old:
        del kept[name]
    return set(old)
