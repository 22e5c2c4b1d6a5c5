"""Everything the monitor knows of one application, folded record by record.

The fold is deterministic: the same records in the same order give the same state, the same
alarms at the same events and the same ids, wherever it was interrupted and taken up again.
"""

from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from services.monitor.domain.benefit import LOW
from services.monitor.domain.canary import Canary, canary
from services.monitor.domain.cause import BEFORE_INPUT, HALF_WAY, Probed
from services.monitor.domain.decision import Decision, drift_event_id
from services.monitor.domain.generation import Feedback, Generation
from services.monitor.domain.inquiry import Inquiry
from services.monitor.domain.outcome import Declared, Evidence, Outcome
from services.monitor.domain.pace import Pace
from services.monitor.domain.ratings import opinion
from services.monitor.domain.recent import Recent, fingerprint, recent
from services.monitor.domain.release import Release
from services.monitor.domain.sample import Alarm
from services.monitor.domain.sampling import sampled
from services.monitor.domain.watch import FORM, Watch, watch

GENERATIONS: Final = 8192
RELEASES: Final = 8
CAMPAIGNS: Final = 4
TICK_S: Final = 10
JUDGED_EVERY: Final = 100
MOST_PER_S: Final = 2000


@dataclass(slots=True)
class Application:
    """The state of one application.

    Fields:
        seen: "topic/partition" -> last offset folded.
        generations: fingerprints of the last answers, for an answer that was sent twice.
        logprobs: ``(8192,)`` of the same answers, nats per token; nan when unknown.
        champion: release digest by the routing table; "" before the first one.
        clock: the newest answer's time; ticked: its 10 seconds in which the service levels were
            judged, unjudged: answers since.
        touched: releases that changed since the state was stored.
        most_per_s: answers of a second that the detectors take whole.
        waits: the detectors' blocks are settled together, by `settle`: quicker, and the same as
            long as nothing rings. rang: something did, so what was folded since is to be folded
            again without waiting.
    """

    name: str
    declared: Declared = field(default_factory=Declared)
    champion: str = ""
    routing_version: int = 0
    seen: dict[str, int] = field(default_factory=dict)
    generations: Recent = field(default_factory=lambda: recent(GENERATIONS))
    logprobs: NDArray[np.float32] = field(
        default_factory=lambda: np.full(GENERATIONS, np.nan, np.float32)
    )
    decision: Decision = field(default_factory=Decision)
    canaries: dict[str, Canary] = field(default_factory=dict)
    releases: dict[str, Release] = field(default_factory=dict)
    clock: float = 0.0
    ticked: int = 0
    unjudged: int = 0
    pace: Pace = field(default_factory=Pace)
    inquiry: Inquiry = field(default_factory=Inquiry)
    touched: set[str] = field(init=False, default_factory=set)
    most_per_s: int = field(init=False, default=MOST_PER_S)
    waits: bool = field(init=False, default=False)
    rang: bool = field(init=False, default=False)

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
                release.watch = release.watch.under(self._watch(digest))
                self.touched.add(digest)

    def crown(self, champion: str, version: int) -> list[Outcome]:
        """Follow the routing table: another champion takes a reference of its own, and the open
        case of the former one is told as far as it is known.

        An older version of the table is left alone: it is read from its beginning at a start.
        """
        if version < self.routing_version:
            return []
        self.routing_version = version
        if champion == self.champion:
            return []
        self.champion = champion
        closed = self.inquiry.close(self.clock)
        self.decision.crown()
        release = self.releases.get(champion)
        if release is not None and release.begin_anew():
            self.touched.add(champion)
        return [closed[1]] if closed else []

    def serve(self, generation: Generation, now: float) -> list[Outcome]:
        """Fold one answer. ``now``: seconds since 1970, of the record."""
        if not self.generations.add(generation.generation_id):
            return []
        self.logprobs[self.generations.cursor - 1] = generation.logprob
        release = self._release(generation.release)
        at = min(generation.served_at, now)
        release.serve(generation, self.declared.objectives, at)
        if generation.campaign:
            self._canary(generation.campaign).serve(generation)
        found = self._observe(release, generation, now) + self._judge(at) + self._conclude(now)
        return found + self._decide(now)

    def rate(self, feedback: Feedback, now: float) -> list[Outcome]:
        """Fold one version of some feedback."""
        if feedback.campaign:
            self._canary(feedback.campaign).rate(feedback)
        self.decision.correct(feedback)
        if feedback.release == self.champion and not feedback.withdrawn:
            self._weigh(feedback)
        return self._hear(feedback, now) + self._conclude(now) + self._decide(now)

    def probe(self, probed: Probed, now: float) -> list[Outcome]:
        """Fold what a burst of probes said; one that comes too late changes nothing."""
        self.inquiry.probe(probed)
        return self._conclude(now) + self._decide(now)

    def train(self, campaign: str, seconds: float, now: float) -> list[Outcome]:
        """Fold what a training run took."""
        self.decision.runs.complete(campaign, seconds, now)
        return self._decide(now)

    def settle(self) -> list[Outcome]:
        """Round off before the state is stored; the evidence of what changed in the rollouts."""
        self._round_off()
        found: list[Outcome] = []
        for campaign, state in self.canaries.items():
            if state.shadow.changed:
                found.append(Evidence(campaign, "shadow", state.shadow, state.comparison))
            if state.canary.changed:
                found.append(Evidence(campaign, "canary", state.canary, state.comparison))
            state.shadow.changed = state.canary.changed = False
        return found

    def _round_off(self) -> None:
        for digest in self.touched:
            self.rang = self.releases[digest].settle() or self.rang

    def _observe(self, release: Release, generation: Generation, now: float) -> list[Outcome]:
        if generation.role != "champion" or generation.outcome != "answered":
            return []
        mark = int(self.generations.ring[self.generations.cursor - 1])
        if not self.pace.take(mark, now, self.most_per_s):
            return []
        if release.watch is None or release.watch.form != FORM:
            release.watch = self._watch(generation.release)
        self.inquiry.wait(generation.release)
        alarms = release.watch.observe(sampled(generation, release.watch), self.waits)
        mine = self._mine(generation.release)
        if mine and release.watch.watching:
            self.decision.serve(min(generation.served_at, now))
        return [told for alarm in alarms for told in self._ring(release, alarm, mine, now)]

    def _hear(self, feedback: Feedback, now: float) -> list[Outcome]:
        """What follows from a rating. Of a release whose input has moved, its case told, other
        ratings were to be expected: they are told as that, and are no case of their own."""
        rating, mine = opinion(feedback), self._mine(feedback.release)
        if rating is None or not (mine or feedback.release in self.releases):
            return []
        release = self._release(feedback.release)
        alarm = release.rate(self.name, feedback, rating, self.declared.drift)
        if alarm is None:
            return []
        if release.moved and self.inquiry.case is None:
            alarm, mine = replace(alarm, cause="input"), False
        return self._ring(release, alarm, mine, now)

    def _ring(self, release: Release, alarm: Alarm, mine: bool, now: float) -> list[Outcome]:
        self.rang = True
        event_id = drift_event_id(self.name, alarm)
        if mine:
            self.decision.ring(alarm, event_id)
        return self.inquiry.ring(alarm, event_id, release.provider if mine else None, now)

    def _conclude(self, now: float) -> list[Outcome]:
        closed = self.inquiry.conclude(now, self._suspected)
        if closed is None:
            return []
        case, told = closed
        return [told, *self.decision.attribute(case, told.found, self.declared.drift, now)]

    def _suspected(self) -> bool:
        """Whether a signal that would be another cause than the input is half way to its alarm."""
        release = self.releases.get(self.inquiry.case.release) if self.inquiry.case else None
        signals = release.watch.signals if release is not None and release.watch is not None else []
        return any(
            signal.statistic > HALF_WAY * signal.threshold
            for signal in signals
            if signal.cause in BEFORE_INPUT and not signal.alarmed
        )

    def _judge(self, at: float) -> list[Outcome]:
        self.clock = max(self.clock, at)
        if not self.declared.objectives:
            return []
        tick = int(self.clock // TICK_S)
        self.unjudged += 1
        if tick == self.ticked and self.unjudged < JUDGED_EVERY:
            return []
        self.ticked, self.unjudged = tick, 0
        found: list[Outcome] = []
        for digest, release in self.releases.items():
            changes = release.ledger.judge(digest, self.declared.objectives, self.clock)
            if changes:
                self.touched.add(digest)
                found += changes
        return found

    def _decide(self, now: float) -> list[Outcome]:
        """Nothing begins while the cause of an alarm is looked for."""
        if self.inquiry.case is not None:
            return []
        return [*self.decision.decide(self.declared.drift, now)]

    def _mine(self, release: str) -> bool:
        return self.champion in ("", release)

    def _weigh(self, feedback: Feedback) -> None:
        """What the feedback says of the champion; a later version is not a second opinion."""
        standard = self.decision.standard
        if feedback.rating is not None and feedback.version <= 1:
            standard.rate(feedback.rating)
        poor = feedback.rating is not None and feedback.rating < LOW
        if poor or feedback.correction:
            mark = fingerprint(feedback.generation_id)
            [slots] = np.nonzero(self.generations.ring == np.uint64(mark))
            if len(slots):
                self.decision.blame(feedback, float(self.logprobs[slots[0]]))

    def _watch(self, digest: str) -> Watch:
        drift = self.declared.drift
        return watch(
            self.name,
            digest,
            drift.reference_events,
            drift.average_run_length,
            drift.conditional,
            drift.seasonal,
            drift.segment_labels,
            # How busy a machine is changes by the minute: watched where somebody promised a level.
            timed=bool(self.declared.objectives),
            currency=self.declared.currency,
        )

    def _canary(self, campaign: str) -> Canary:
        if campaign not in self.canaries:
            self.canaries[campaign] = canary(self.declared.margin, self.declared.alpha)
            _forget(self.canaries, CAMPAIGNS, campaign)
        return self.canaries[campaign]

    def _release(self, digest: str) -> Release:
        if digest not in self.releases:
            self._round_off()  # one of those that wait may be forgotten
            self.releases[digest] = Release()
            self.touched -= _forget(self.releases, RELEASES, self.champion)
        self.touched.add(digest)
        return self.releases[digest]


def _forget(kept: dict[str, Canary] | dict[str, Release], most: int, spared: str) -> set[str]:
    """Drop the oldest beyond ``most``."""
    old = [name for name in kept if name != spared][: max(0, len(kept) - most)]
    for name in old:
        del kept[name]
    return set(old)
