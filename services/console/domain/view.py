"""A snapshot in the words and tones of the page."""

from collections.abc import Sequence, Set
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from services.console.domain.snapshot import (
    Campaign,
    Evidence,
    Health,
    Release,
    Snapshot,
    State,
    Topic,
    Transition,
)

PATH: Final = (
    *("requested", "preparing", "training", "evaluating", "building", "loading"),
    *("shadow", "canary"),
)
GOOD_END: Final = "promoted"
BAD_ENDS: Final = frozenset({"rejected", "rolled_back", "failed", "aborted", "superseded"})
ROLES: Final = ("champion", "canary", "shadow")
GROUPS: Final = 4
"""Consumer groups named per topic."""
EVERY: Final = ""
"""The choice of all applications."""


class Tone(StrEnum):
    GOOD = "good"
    BUSY = "busy"
    WARN = "warn"
    BAD = "bad"
    CALM = "calm"


@dataclass(frozen=True, slots=True)
class Tile:
    label: str
    value: str
    hint: str
    tone: Tone


@dataclass(frozen=True, slots=True)
class Stage:
    """One step on a campaign's way."""

    name: str
    tone: Tone
    hint: str = ""


@dataclass(frozen=True, slots=True)
class Moment:
    """One transition of a campaign, to be read."""

    title: str
    when: str
    took: str
    reason: str
    cause: str
    tone: Tone
    evidence: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Slice:
    """A release's part of the traffic; ``width`` in percent of the bar."""

    label: str
    role: str
    percent: str
    width: float
    note: str


def tiles(snapshot: Snapshot, application: str) -> tuple[Tile, ...]:
    """The five numbers on top."""
    return (
        _services_tile(snapshot.services),
        _champion_tile(snapshot, application),
        _campaign_tile(of(snapshot.campaigns.rows, application), snapshot.campaigns.away),
        _alarm_tile(snapshot, application),
        _letters_tile(snapshot),
    )


def of(rows: Sequence[Campaign], application: str) -> tuple[Campaign, ...]:
    """The campaigns of ``application``, newest first."""
    mine = [row for row in rows if application in (EVERY, row.application)]
    return tuple(sorted(mine, key=lambda row: row.started_at, reverse=True))


def words(name: str) -> str:
    """``rolled_back`` -> ``rolled back``."""
    return name.replace("_", " ")


def tone_of(state: str) -> Tone:
    if state == GOOD_END:
        return Tone.GOOD
    if state in BAD_ENDS:
        return Tone.CALM if state in ("aborted", "superseded") else Tone.BAD
    return Tone.BUSY


def stages(campaign: Campaign) -> tuple[Stage, ...]:
    """The way of ``campaign``: behind it, without what it passed over; where it stands; ahead."""
    reached = {PATH[0], campaign.state, *(step.to_state for step in campaign.transitions)}
    ended = campaign.state == GOOD_END or campaign.state in BAD_ENDS
    furthest = len(PATH) if campaign.state == GOOD_END else _furthest(reached)
    way = []
    for place, name in enumerate(PATH):
        if place < furthest and name not in reached:
            continue
        if name == campaign.state:
            way.append(Stage(name, Tone.BUSY, "paused" if campaign.paused else ""))
        else:
            way.append(Stage(name, Tone.GOOD if name in reached else Tone.CALM))
    share = f"{percent(campaign.share)} of traffic" if campaign.state == "canary" else ""
    way = [Stage(s.name, s.tone, s.hint or share) if s.tone is Tone.BUSY else s for s in way]
    last = campaign.state if ended else GOOD_END
    return (*way, Stage(last, tone_of(last) if ended else Tone.CALM))


def _furthest(reached: Set[str]) -> int:
    return max(place for place, name in enumerate(PATH) if name in reached)


def moments(campaign: Campaign) -> tuple[Moment, ...]:
    """The transitions of ``campaign``, newest first."""
    steps = campaign.transitions
    befores = (campaign.started_at, *(step.at for step in steps))
    pairs = zip(steps, befores, strict=False)
    last = steps[-1].sequence if steps else 0
    return tuple(
        _moment(step, before, step.sequence == last) for step, before in reversed(list(pairs))
    )


def slices(releases: Sequence[Release]) -> tuple[Slice, ...]:
    """Who answers now: champion and canary share the bar, a shadow stands beside it."""
    found = {row.role: row for row in releases if row.role in ROLES}
    canary = found["canary"].share if "canary" in found else 0.0
    shown = []
    for role in ROLES:
        if (row := found.get(role)) is None:
            continue
        share = 1.0 - canary if role == "champion" else row.share
        note = "mirrored, never shown" if role == "shadow" else "of episodes answered"
        if row.repeated:
            note += f" · {percent(row.identical)} of repeats identical"
        width = 0.0 if role == "shadow" else 100 * share
        shown.append(Slice(short(row.digest), role, percent(share), width, note))
    return tuple(shown)


def service_rows(services: Sequence[Health]) -> tuple[tuple[str, Tone, str], ...]:
    """Name, tone and what to say, those that need attention first."""
    tones = {State.READY: Tone.GOOD, State.WAITING: Tone.WARN, State.AWAY: Tone.BAD}
    rank = [State.AWAY, State.WAITING, State.READY]
    ordered = sorted(services, key=lambda one: (rank.index(one.state), one.name))
    return tuple((one.name, tones[one.state], one.detail or one.state.value) for one in ordered)


def topic_rows(topics: Sequence[Topic]) -> list[dict[str, str | int]]:
    """Rows of the table: topics that carry something first, by name."""
    rows: list[dict[str, str | int]] = []
    for topic in sorted(topics, key=lambda one: (one.events == 0, one.name)):
        behind = sorted(topic.lags.items(), key=lambda pair: (-pair[1], pair[0]))
        rows.append(
            {
                "topic": topic.name,
                "events": topic.events,
                "lag": sum(topic.lags.values()),
                "groups": _groups(behind),
                "dead": topic.dead_letters,
            }
        )
    return rows


def _groups(behind: Sequence[tuple[str, int]]) -> str:
    """The groups that are furthest behind, with their lag."""
    named = [f"{group} {lag:,}" if lag else group for group, lag in behind[:GROUPS]]
    more = len(behind) - GROUPS
    return ", ".join([*named, f"{more} more"] if more > 0 else named)


def percent(share: float) -> str:
    return f"{100 * share:.3g} %"


def short(digest: str) -> str:
    return digest.removeprefix("sha256:")[:8]


def span(seconds: float) -> str:
    """A duration as people say it."""
    if seconds < 1:
        return "under 1 s"
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    if seconds < 48 * 3600:
        return f"{seconds / 3600:.1f} h".replace(".0 h", " h")
    return f"{seconds / 86400:.0f} days"


def figure(one: Evidence) -> str:
    """``loss difference 0.12 [0.08, 0.17], n = 240``."""
    text = f"{words(one.name)} {one.value:.4g}"
    if one.upper > one.lower:
        text += f" [{one.lower:.4g}, {one.upper:.4g}]"
    return f"{text}, n = {one.n:,}" if one.n else text


def _moment(step: Transition, before: datetime, newest: bool) -> Moment:
    title = words(step.to_state)
    if step.to_state == "canary" and step.share:
        title += f" at {percent(step.share)}"
    return Moment(
        title=title,
        when=step.at.strftime("%H:%M:%S"),
        took=span((step.at - before).total_seconds()),
        reason=step.reason,
        cause=f"{step.cause_topic} · {step.cause_event_id}" if step.cause_topic else "",
        tone=tone_of(step.to_state) if newest else Tone.GOOD,
        evidence=tuple(figure(one) for one in step.evidence),
    )


def _services_tile(services: Sequence[Health]) -> Tile:
    ready = sum(one.state is State.READY for one in services)
    waiting = [one.name for one in services if one.state is not State.READY]
    if not services:
        return Tile("Services", "-", "no endpoints are known", Tone.WARN)
    hint = "all ready" if not waiting else f"not ready: {', '.join(waiting)}"
    tone = Tone.GOOD if not waiting else Tone.BAD
    return Tile("Services", f"{ready} / {len(services)}", hint, tone)


def _champion_tile(snapshot: Snapshot, application: str) -> Tile:
    rows = [r for r in snapshot.releases.rows if application in (EVERY, r.application)]
    champion = next((row for row in rows if row.role == "champion"), None)
    if snapshot.releases.away is not None:
        return Tile("Champion", "?", "the registry is away", Tone.BAD)
    if champion is None:
        return Tile("Champion", "none", "nothing is served yet", Tone.CALM)
    shares = [row for row in rows if row.role == "canary"]
    hint = f"canary takes {percent(shares[0].share)}" if shares else f"of {len(rows)} releases"
    return Tile("Champion", short(champion.digest), hint, Tone.BUSY if shares else Tone.GOOD)


def _campaign_tile(campaigns: Sequence[Campaign], away: str | None) -> Tile:
    if away is not None:
        return Tile("Campaign", "?", "the registry is away", Tone.BAD)
    if not campaigns:
        return Tile("Campaign", "none", "no loop has begun yet", Tone.CALM)
    newest = campaigns[0]
    hint = f"{newest.kind}; {sum(c.state == GOOD_END for c in campaigns)} promoted so far"
    return Tile("Campaign", words(newest.state), hint, tone_of(newest.state))


def _alarm_tile(snapshot: Snapshot, application: str) -> Tile:
    if snapshot.signals.away is not None:
        return Tile("Drift alarms", "?", "the monitor is away", Tone.BAD)
    mine = [row for row in snapshot.signals.rows if application in (EVERY, row.application)]
    alarms = sum(row.alarms for row in mine)
    watching = sum(row.phase == "watching" for row in mine)
    hint = f"{watching} of {len(mine)} signals watching" if mine else "no traffic seen yet"
    return Tile("Drift alarms", str(alarms), hint, Tone.WARN if alarms else Tone.GOOD)


def _letters_tile(snapshot: Snapshot) -> Tile:
    if snapshot.topics.away is not None:
        return Tile("Dead letters", "?", "Kafka is away", Tone.BAD)
    dead = sum(row.dead_letters for row in snapshot.topics.rows)
    events = sum(row.events for row in snapshot.topics.rows)
    lag = sum(sum(row.lags.values()) for row in snapshot.topics.rows)
    hint = f"{events:,} events on the log, {lag:,} waiting"
    return Tile("Dead letters", f"{dead:,}", hint, Tone.WARN if dead else Tone.GOOD)
