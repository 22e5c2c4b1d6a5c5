"""What the monitor sees, in the words and tones of the drift page."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from services.console.domain.snapshot import Alarm, Burn, Decision, Objective, Signal
from services.console.domain.view import EVERY, Tone, percent, short, span, words

DRAWN: Final = 6
"""Signals in one chart: more cannot be told apart."""
NEAR: Final = 0.5
OF_RATINGS: Final = "feedback"
"""The signal whose reference is of ratings, not of answers."""
VERDICT_TONES: Final = {
    "retrain": Tone.BUSY,
    "wait_for_labels": Tone.WARN,
    "roll_back": Tone.BAD,
    "notify_only": Tone.CALM,
}


@dataclass(frozen=True, slots=True)
class SignalRow:
    """``key`` finds the signal again; ``level`` is its share of the alarm threshold."""

    key: str
    name: str
    release: str
    phase: str
    tone: Tone
    level: float
    events: str
    notes: str


@dataclass(frozen=True, slots=True)
class Reference:
    """How much of its reference a release has given; ``share`` is of 1."""

    release: str
    done: str
    share: float


@dataclass(frozen=True, slots=True)
class AlarmCard:
    title: str
    when: str
    cause: str
    tone: Tone
    certainty: str
    evidence: tuple[str, ...]
    cells: tuple[tuple[str, str, str], ...]
    terms: tuple[str, ...]
    before: tuple[str, ...]
    after: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ObjectiveRow:
    name: str
    asked: str
    seen: str
    budget: str
    tone: Tone
    burns: tuple[tuple[str, Tone], ...]


@dataclass(frozen=True, slots=True)
class DecisionRow:
    verdict: str
    tone: Tone
    when: str
    reasons: tuple[str, ...]
    figures: tuple[str, ...]


def ranked(signals: Sequence[Signal], application: str, search: str = "") -> tuple[Signal, ...]:
    """The application's signals that the search names, the nearest to an alarm first."""
    wanted = search.lower().split()
    mine = [one for one in signals if application in (EVERY, one.application)]
    found = [one for one in mine if all(word in _text(one) for word in wanted)]
    return tuple(sorted(found, key=lambda one: (-one.level, not one.history, _text(one))))


def references(signals: Sequence[Signal], application: str) -> tuple[Reference, ...]:
    """Of the releases none of whose signals watches yet, by the one that has most; most first."""
    furthest: dict[tuple[str, str], Signal] = {}
    for one in sorted(signals, key=_given):
        if application in (EVERY, one.application) and one.name != OF_RATINGS:
            furthest[one.application, one.release_digest] = one
    found = sorted(furthest.values(), key=_given, reverse=True)
    return tuple(
        Reference(
            release=f"{one.application} · {short(one.release_digest)}",
            done=f"{one.reference_events:,} of {one.reference_wanted:,} answers",
            share=_given(one),
        )
        for one in found
        if _collects(one)
    )


def no_signal(known: int, search: str) -> str:
    """Why the table is empty, of ``known`` signals."""
    if known and search:
        return "No signal matches the search."
    return "No signal yet: the monitor has seen no traffic."


def key(signal: Signal) -> str:
    return "/".join((signal.application, signal.release_digest, signal.name, signal.segment))


def title(signal: Signal) -> str:
    """``prompt embedding · language=de``."""
    return " · ".join(part for part in (words(signal.name), signal.segment) if part)


def signal_row(signal: Signal) -> SignalRow:
    done = ""
    if _collects(signal):
        done = f" {signal.reference_events:,} of {signal.reference_wanted:,}"
    told = ["stands among all signals"] if signal.stands else []
    left = [
        f"{count:,} {what}"
        for count, what in ((signal.left_out, "left out"), (signal.skipped, "skipped"))
        if count
    ]
    return SignalRow(
        key=key(signal),
        name=title(signal),
        release=f"{signal.application} · {short(signal.release_digest)}",
        phase=signal.phase + done,
        tone=_signal_tone(signal),
        level=signal.level,
        events=f"{signal.events:,}",
        notes="; ".join([*told, *signal.notes, *left]),
    )


def alarm_cards(alarms: Sequence[Alarm], application: str) -> tuple[AlarmCard, ...]:
    """Newest first."""
    mine = [one for one in alarms if application in (EVERY, one.application)]
    return tuple(_card(one) for one in sorted(mine, key=lambda one: one.at, reverse=True))


def objective_rows(objectives: Sequence[Objective], application: str) -> tuple[ObjectiveRow, ...]:
    """Those that are not kept first."""
    mine = [one for one in objectives if application in (EVERY, one.application)]
    order = {"page": 0, "ticket": 1}
    ordered = sorted(mine, key=lambda one: (order.get(one.severity, 2), one.budget_left))
    return tuple(_objective(one) for one in ordered)


def decision_rows(decisions: Sequence[Decision], application: str) -> tuple[DecisionRow, ...]:
    """Newest first."""
    mine = [one for one in decisions if application in (EVERY, one.application)]
    return tuple(_decision(one) for one in sorted(mine, key=lambda one: one.at, reverse=True))


def _collects(signal: Signal) -> bool:
    return not signal.history and signal.reference_events < signal.reference_wanted


def _given(signal: Signal) -> float:
    return signal.reference_events / signal.reference_wanted if _collects(signal) else 1.0


def _text(signal: Signal) -> str:
    parts = (signal.name, words(signal.name), signal.segment, signal.phase, signal.cause)
    return " ".join((*parts, signal.application, signal.release_digest)).lower()


def _signal_tone(signal: Signal) -> Tone:
    if signal.phase == "alarmed" or signal.level >= 1:
        return Tone.BAD
    if signal.level >= NEAR:
        return Tone.WARN
    return Tone.GOOD if signal.history else Tone.CALM


def _card(alarm: Alarm) -> AlarmCard:
    where = f" · {alarm.segment}" if alarm.segment else ""
    sure = f"{percent(round(alarm.confidence, 2))} sure" if alarm.confidence else ""
    state = "" if alarm.attributed else "more answers are awaited"
    return AlarmCard(
        title=f"{words(alarm.signal)}{where}",
        when=f"{alarm.at:%Y-%m-%d %H:%M:%S} · {alarm.application} · event {alarm.at_event:,} · "
        f"ln e {alarm.statistic:.1f} >= {alarm.threshold:.1f}",
        cause=alarm.cause or "unknown",
        tone=Tone.BAD if alarm.attributed else Tone.WARN,
        certainty=", ".join(part for part in (sure, state) if part),
        evidence=alarm.evidence,
        cells=tuple(
            (name, percent(round(expected, 4)), percent(round(observed, 4)))
            for name, expected, observed in alarm.cells
        ),
        terms=alarm.terms,
        before=alarm.before,
        after=alarm.after,
    )


def _objective(objective: Objective) -> ObjectiveRow:
    good = objective.answers - objective.bad
    share = percent(round(good / objective.answers, 4)) if objective.answers else "no answers yet"
    tones = {"page": Tone.BAD, "ticket": Tone.WARN}
    return ObjectiveRow(
        name=f"{words(objective.name)} · {short(objective.release_digest)}",
        asked=f"{objective.asked}, over {span(objective.period_s)}",
        seen=f"{share} of {objective.answers:,}" if objective.answers else share,
        budget=percent(round(objective.budget_left, 3)),
        tone=tones.get(objective.severity, Tone.GOOD if objective.answers else Tone.CALM),
        burns=tuple(_burn(one) for one in objective.burns),
    )


def _burn(burn: Burn) -> tuple[str, Tone]:
    windows = f"{span(burn.long_s)} and {span(burn.short_s)}"
    rates = f"{burn.long_rate:.1f}x and {burn.short_rate:.1f}x"
    tone = Tone.CALM
    if burn.burning:
        tone = Tone.BAD if burn.severity == "page" else Tone.WARN
    return f"{windows}: {rates} of {burn.threshold:g}x", tone


def _decision(decision: Decision) -> DecisionRow:
    figures = [f"{decision.new_rows:,} of {decision.rows_wanted:,} new rows"]
    if decision.expected_seconds:
        figures.append(f"about {span(decision.expected_seconds)} of training")
    if decision.expected_cost:
        figures.append(f"costs {decision.expected_cost:.2f}")
    if decision.campaign_id:
        figures.append(f"campaign {decision.campaign_id[:8]}")
    return DecisionRow(
        verdict=words(decision.verdict),
        tone=VERDICT_TONES.get(decision.verdict, Tone.CALM),
        when=f"{decision.at:%Y-%m-%d %H:%M:%S} · {decision.application} · {decision.cause}",
        reasons=decision.reasons,
        figures=tuple(figures),
    )
