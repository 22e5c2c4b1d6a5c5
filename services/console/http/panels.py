"""The panels of the page, each drawn from values."""

from collections.abc import Sequence
from html import escape

from nicegui import ui

from services.console.domain import view
from services.console.domain.drift_view import Reference
from services.console.domain.snapshot import Answer, Campaign, Health, Release, T, Topic
from services.console.domain.view import Moment, Stage, Tile, Tone
from services.console.http.theme import ROLE_COLOURS, tone_style

REFERENCES = 4
"""Releases whose reference is shown: those that have most of it."""
MARKS = {Tone.GOOD: "✓", Tone.BAD: "✕", Tone.BUSY: "●", Tone.WARN: "!", Tone.CALM: ""}


def html(markup: str) -> None:
    """Markup of ours; every value in it went through ``escape``."""
    ui.html(markup, sanitize=False).classes("w-full")


def away(answer: Answer[T]) -> None:
    """Why a backend does not answer, where it does not."""
    if answer.away is not None:
        known = "; what you see is the last known" if answer.rows else ""
        html(f'<div class="p-away">⚠ {escape(answer.away)}{known}</div>')


def nothing(text: str, answer: Answer[T] | None = None) -> None:
    """``text``, unless ``answer`` is away: then nobody knows."""
    if answer is None or answer.away is None:
        html(f'<div class="p-none">{escape(text)}</div>')


def chip(text: str, tone: Tone) -> str:
    return f'<span class="p-chip" style="{tone_style(tone)}">{escape(text)}</span>'


def dot(tone: Tone) -> str:
    return f'<span class="p-dot" style="{tone_style(tone)}"></span>'


def tiles(shown: Sequence[Tile]) -> None:
    cards = "".join(
        f'<div class="p-card p-tile" style="{tone_style(tile.tone)}">'
        f'<div class="p-soft">{escape(tile.label)}</div>'
        f'<div class="p-value">{escape(tile.value)}</div>'
        f'<div class="p-soft">{escape(tile.hint)}</div></div>'
        for tile in shown
    )
    html(f'<div class="p-tiles">{cards}</div>')


def references(found: Sequence[Reference]) -> None:
    """What is awaited before anything can ring."""
    rows = "".join(
        f'<div class="p-reference" style="{tone_style(Tone.BUSY)}">'
        f'<span class="p-mono">{escape(one.release)}</span><span>{one.done}</span>'
        f'<div class="p-level"><div style="width:{100 * one.share:.1f}%"></div></div></div>'
        for one in found[:REFERENCES]
    )
    html(f'<div class="p-none">Signals watch once a release has given its reference.{rows}</div>')


def way(campaign: Campaign) -> None:
    """A campaign's stages as beads on a line, and how far it is."""
    html(f'<div class="p-way">{"".join(map(_bead, view.stages(campaign)))}</div>')
    if campaign.progress:
        html(f'<div class="p-soft">{escape(campaign.progress)}</div>')


def _bead(stage: Stage) -> str:
    classes = "p-stage"
    if stage.tone is not Tone.CALM:
        classes += " p-reached"
    if stage.tone is Tone.BUSY:
        classes += " p-now"
    hint = f'<span class="p-soft">{escape(stage.hint)}</span>' if stage.hint else ""
    return (
        f'<div class="{classes}" style="{tone_style(stage.tone)}">'
        f'<span class="p-bead">{MARKS[stage.tone]}</span>'
        f"<span>{escape(view.words(stage.name))}</span>{hint}</div>"
    )


def timeline(campaign: Campaign) -> None:
    html(f'<div class="p-scroll">{"".join(map(_moment, view.moments(campaign)))}</div>')


def _moment(moment: Moment) -> str:
    figures = " ".join(f'<span class="p-fig">{escape(one)}</span>' for one in moment.evidence)
    cause = f'<div class="p-soft p-mono">{escape(moment.cause)}</div>' if moment.cause else ""
    reason = f'<div style="font-size:13px">{escape(moment.reason)}</div>' if moment.reason else ""
    shown = f'<div style="display:flex;gap:6px;flex-wrap:wrap;margin:5px 0 3px">{figures}</div>'
    return (
        f'<div class="p-moment">{dot(moment.tone)}'
        f'<div style="display:flex;gap:10px;align-items:baseline;flex-wrap:wrap">'
        f'<b style="font-size:13.5px">{escape(moment.title)}</b>'
        f'<span class="p-soft">{moment.when} · after {escape(moment.took)}</span></div>'
        f"{reason}{shown if figures else ''}{cause}</div>"
    )


def shares(releases: Sequence[Release]) -> None:
    """The traffic bar and the releases that take part."""
    parts = view.slices(releases)
    bar = "".join(
        f'<div style="width:{part.width:.2f}%;background:{ROLE_COLOURS[part.role]}"></div>'
        for part in parts
    )
    rows = "".join(
        f'<div class="p-row p-part" style="--tone:{ROLE_COLOURS[part.role]}">'
        f'<span class="p-dot"></span>'
        f'<b style="width:74px">{part.role}</b><span class="p-mono">{escape(part.label)}</span>'
        f'<b class="p-share">{part.percent}</b><span class="p-soft">{part.note}</span></div>'
        for part in parts
    )
    idle = sum(row.role == "" for row in releases)
    rest = f'<div class="p-soft" style="margin-top:8px">{idle} more, without traffic</div>'
    html(f'<div class="p-bar">{bar}</div>{rows}{rest if idle else ""}')


def services(found: Sequence[Health]) -> None:
    rows = "".join(
        f'<div class="p-row">{dot(tone)}<b style="width:112px">{escape(name)}</b>'
        f'<span class="p-soft" style="overflow-wrap:anywhere">{escape(detail)}</span></div>'
        for name, tone, detail in view.service_rows(found)
    )
    html(f'<div class="p-services">{rows}</div>')


def topics(found: Sequence[Topic]) -> None:
    head = (
        "<tr><th>topic</th><th class='p-num'>events</th><th class='p-num'>lag</th>"
        "<th class='p-wide'>consumer groups</th><th class='p-num'>dead letters</th></tr>"
    )
    rows = "".join(_topic(row) for row in view.topic_rows(found))
    html(f'<div class="p-scroll"><table class="p-table">{head}{rows}</table></div>')


def _topic(row: dict[str, str | int]) -> str:
    quiet = "" if row["events"] else ' class="p-quiet"'
    lag = f"{row['lag']:,}"
    dead = f"{row['dead']:,}"
    return (
        f'<tr{quiet}><td class="p-mono">{escape(str(row["topic"]))}</td>'
        f'<td class="p-num">{row["events"]:,}</td>'
        f'<td class="p-num">{chip(lag, Tone.WARN) if row["lag"] else lag}</td>'
        f'<td class="p-soft p-wide">{escape(str(row["groups"])) or "-"}</td>'
        f'<td class="p-num">{chip(dead, Tone.BAD) if row["dead"] else dead}</td></tr>'
    )
