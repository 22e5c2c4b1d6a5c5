"""The page "Drift": what is watched, what rang and why, and whether service levels are kept."""

from dataclasses import dataclass
from typing import Any, Final

from fastapi import Request
from nicegui import ui

from services.console.domain import drift_charts, drift_view
from services.console.domain.snapshot import Scatter, Signal, Snapshot
from services.console.domain.view import EVERY
from services.console.http import drift_panels, panels
from services.console.http.frame import Frame, card, chart, redraw, title
from services.console.http.live import Live

SCATTER_S: Final = 10.0
"""Between two looks at the plane: it is the only large answer."""


@dataclass(frozen=True, slots=True)
class DriftPage:
    live: Live

    async def show(self, request: Request) -> None:
        """Build the page for one client."""
        DriftView(self.live).build(request)


class DriftView:
    """One client's page."""

    def __init__(self, live: Live) -> None:
        self._live = live
        self._frame = Frame(live, "/drift", self._draw)
        self._search = ""
        self._scatter = Scatter()

    def build(self, request: Request) -> None:
        self._frame.build(request, self._body)
        ui.timer(SCATTER_S, self._look_at_plane)
        ui.timer(0.1, self._look_at_plane, once=True)

    def _body(self) -> None:
        panel = self._frame.panel
        with card(8):
            title("Evidence", "of the signals nearest to an alarm; dashed: where each one rings")
            self._evidence = chart(340)
            panel(self._nothing_drawn)
        with card(4):
            title("Prompts", "reference and recent, in the reference's two main directions")
            self._plane = chart(340)
            self._no_plane = ui.label("Shown once a champion's reference is complete.").classes(
                "p-none"
            )
        with card(12):
            with ui.row().classes("w-full items-center gap-3"):
                title("Signals", "nearest to an alarm first")
                field = ui.input(placeholder="search: signal, segment, phase, cause, release")
                field.props("dense outlined clearable debounce=200").classes("w-full max-w-[340px]")
                field.on_value_change(self._find)
            with ui.element("div").classes("p-scroll").style("max-height:420px"):
                self._signals = ui.html("", sanitize=False).classes("w-full")
            panel(self._no_signals)
        with card(7):
            panel(self._alarms)
        with card(5):
            panel(self._decisions)
        with card(12):
            panel(self._objectives)

    def _ranked(self) -> tuple[Signal, ...]:
        rows = self._live.read().signals.rows
        return drift_view.ranked(rows, self._frame.application, self._search)

    def _drawn(self) -> list[Signal]:
        return [one for one in self._ranked() if one.history][: drift_view.DRAWN]

    def _draw(self, _: Snapshot) -> None:
        rows = [drift_view.signal_row(one) for one in self._ranked()]
        # Its text alone is exchanged, so that a reader keeps the place in a long table.
        self._signals.content = drift_panels.signals(rows) if rows else ""
        redraw(self._evidence, drift_charts.evidence(self._drawn(), self._frame.dark))
        options = drift_charts.plane(self._scatter, self._frame.dark)
        redraw(self._plane, options)
        self._no_plane.set_visibility(not options["series"])

    def _find(self, event: Any) -> None:
        self._search = str(event.value or "")
        self._frame.redraw()

    async def _look_at_plane(self) -> None:
        """Of the chosen application, or of the one whose signal is nearest to an alarm."""
        chosen = self._frame.application
        if chosen == EVERY:
            found = self._ranked()
            chosen = found[0].application if found else ""
        if chosen and (seen := await self._live.scatter(chosen)) is not None:
            self._scatter = seen
            self._draw(self._live.read())

    def _nothing_drawn(self) -> None:
        answer = self._live.read().signals
        panels.away(answer)
        if self._drawn():
            return
        if found := drift_view.references(answer.rows, self._frame.application):
            panels.references(found)
        else:
            panels.nothing("No signal is watched yet.", answer)

    def _no_signals(self) -> None:
        answer = self._live.read().signals
        if not self._ranked():
            known = drift_view.ranked(answer.rows, self._frame.application)
            panels.nothing(drift_view.no_signal(len(known), self._search), answer)

    def _alarms(self) -> None:
        answer = self._live.read().alarms
        title("Alarms", "with cause and examples, newest first")
        panels.away(answer)
        cards = drift_view.alarm_cards(answer.rows, self._frame.application)
        if cards:
            drift_panels.alarms(cards)
        else:
            panels.nothing("Nothing has rung.", answer)

    def _decisions(self) -> None:
        answer = self._live.read().decisions
        title("Decisions", "what follows from an alarm, and why")
        panels.away(answer)
        rows = drift_view.decision_rows(answer.rows, self._frame.application)
        if rows:
            drift_panels.decisions(rows)
        else:
            panels.nothing("Nothing had to be decided.", answer)

    def _objectives(self) -> None:
        answer = self._live.read().objectives
        title("Service levels", "error budgets and how fast they burn")
        panels.away(answer)
        rows = drift_view.objective_rows(answer.rows, self._frame.application)
        if rows:
            drift_panels.objectives(rows)
        else:
            panels.nothing("No objectives are declared.", answer)
