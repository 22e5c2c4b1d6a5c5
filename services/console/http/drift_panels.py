"""The panels of the drift page, each drawn from values."""

from collections.abc import Sequence
from html import escape

from services.console.domain.drift_view import AlarmCard, DecisionRow, ObjectiveRow, SignalRow
from services.console.http.panels import chip, dot, html
from services.console.http.theme import tone_style


def signals(rows: Sequence[SignalRow]) -> str:
    """A table of all of them, however many."""
    head = (
        "<tr><th>signal</th><th>release</th><th>phase</th><th>of the threshold</th>"
        "<th class='p-num'>events</th><th>notes</th></tr>"
    )
    return f'<table class="p-table">{head}{"".join(_signal(row) for row in rows)}</table>'


def alarms(cards: Sequence[AlarmCard]) -> None:
    html(f'<div class="p-scroll">{"".join(_alarm(one) for one in cards)}</div>')


def objectives(rows: Sequence[ObjectiveRow]) -> None:
    head = (
        "<tr><th>objective</th><th>asked</th><th>seen</th><th class='p-num'>budget left</th>"
        "<th>burn rates</th></tr>"
    )
    body = "".join(_objective(row) for row in rows)
    html(f'<div class="p-scroll"><table class="p-table">{head}{body}</table></div>')


def decisions(rows: Sequence[DecisionRow]) -> None:
    html(f'<div class="p-scroll">{"".join(_decision(row) for row in rows)}</div>')


def _signal(row: SignalRow) -> str:
    width = min(100.0, 100 * row.level)
    bar = (
        f'<div class="p-level" style="{tone_style(row.tone)}">'
        f'<div style="width:{width:.1f}%"></div></div>'
    )
    return (
        f"<tr><td><b>{escape(row.name)}</b></td><td class='p-mono'>{escape(row.release)}</td>"
        f"<td>{chip(row.phase, row.tone)}</td><td title='{row.level:.2f}'>{bar}</td>"
        f"<td class='p-num'>{row.events}</td><td class='p-soft'>{escape(row.notes)}</td></tr>"
    )


def _alarm(card: AlarmCard) -> str:
    cells = " ".join(
        f'<span class="p-fig">{escape(name)}: {expected} → {observed}</span>'
        for name, expected, observed in card.cells
    )
    terms = " ".join(f'<span class="p-fig">{escape(term)}</span>' for term in card.terms)
    evidence = "".join(f'<div style="font-size:13px">{escape(one)}</div>' for one in card.evidence)
    pair = (
        f'<div class="p-pair"><div><div class="p-soft">before</div>{_quotes(card.before)}</div>'
        f'<div><div class="p-soft">after</div>{_quotes(card.after)}</div></div>'
        if card.before or card.after
        else ""
    )
    parts = [evidence, _figures("what moved", cells), _figures("new words", terms), pair]
    return (
        f'<div class="p-alarm"><div class="p-line">'
        f"{chip(card.cause, card.tone)}<b>{escape(card.title)}</b>"
        f'<span class="p-soft">{escape(card.certainty)}</span></div>'
        f'<div class="p-soft">{escape(card.when)}</div>{"".join(parts)}</div>'
    )


def _figures(name: str, figures: str) -> str:
    if not figures:
        return ""
    return (
        f'<div class="p-line" style="margin-top:6px">'
        f'<span class="p-soft">{name}</span>{figures}</div>'
    )


def _quotes(texts: Sequence[str]) -> str:
    return "".join(f'<div class="p-quote">{escape(text[:200])}</div>' for text in texts) or "-"


def _objective(row: ObjectiveRow) -> str:
    burns = " ".join(chip(text, tone) for text, tone in row.burns) or "-"
    return (
        f'<tr><td><div class="p-line">{dot(row.tone)}<b>{escape(row.name)}</b></div></td>'
        f"<td>{escape(row.asked)}</td>"
        f"<td>{escape(row.seen)}</td><td class='p-num'>{row.budget}</td><td>{burns}</td></tr>"
    )


def _decision(row: DecisionRow) -> str:
    reasons = "".join(f'<div style="font-size:13px">{escape(one)}</div>' for one in row.reasons)
    figures = " ".join(f'<span class="p-fig">{escape(one)}</span>' for one in row.figures)
    return (
        f'<div class="p-alarm"><div class="p-line">'
        f"{chip(row.verdict, row.tone)}<span class='p-soft'>{escape(row.when)}</span></div>"
        f'{reasons}<div class="p-line" style="margin-top:5px">{figures}'
        "</div></div>"
    )
