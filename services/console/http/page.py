"""The page "Loop": panels over the live snapshot, redrawn when it changed."""

from dataclasses import dataclass
from typing import Any

from fastapi import Request
from nicegui import ui

from services.console.domain import charts, view
from services.console.domain.drift_view import ranked, references
from services.console.domain.snapshot import Campaign, Snapshot
from services.console.domain.view import EVERY
from services.console.http import panels
from services.console.http.frame import Frame, card, chart, redraw, title
from services.console.http.live import Live

CHARTED = 8
"""Signals in the page's chart; the drift page has all of them."""


@dataclass(frozen=True, slots=True)
class LoopPage:
    live: Live

    def show(self, request: Request) -> None:
        """Build the page for one client."""
        LoopView(self.live).build(request)


class LoopView:
    """One client's page."""

    def __init__(self, live: Live) -> None:
        self._live = live
        self._frame = Frame(live, "/", self._draw_charts)
        self._campaign_id = ""

    def build(self, request: Request) -> None:
        self._frame.build(request, self._body)

    def _body(self) -> None:
        panel = self._frame.panel
        with ui.element("div").style("grid-column:1/-1"):
            panel(self._tiles)
        with card(12):
            panel(self._way)
        with card(8):
            panel(self._drift_notes)
            self._drift = chart()
        with card(4):
            panel(self._traffic)
        with card(5):
            panel(self._timeline)
        with card(7):
            panel(self._latency_notes)
            self._latency = chart()
            ui.separator().classes("my-4")
            panel(self._services)
        with card(12):
            panel(self._topics)

    def _draw_charts(self, snapshot: Snapshot) -> None:
        signals = ranked(snapshot.signals.rows, self._frame.application)
        drawn = [one for one in signals if one.history][:CHARTED]
        windows = [row for row in snapshot.windows.rows if self._frame.mine(row.application)]
        redraw(self._drift, charts.drift(drawn, self._frame.dark))
        redraw(self._latency, charts.latency(windows, self._frame.dark))

    def _campaigns(self) -> tuple[Campaign, ...]:
        return view.of(self._live.read().campaigns.rows, self._frame.application)

    def _campaign(self) -> Campaign | None:
        found = self._campaigns()
        chosen = (one for one in found if one.campaign_id == self._campaign_id)
        return next(chosen, found[0] if found else None)

    def _tiles(self) -> None:
        panels.tiles(view.tiles(self._live.read(), self._frame.application))

    def _way(self) -> None:
        answer = self._live.read().campaigns
        campaign = self._campaign()
        with ui.row().classes("w-full items-center gap-3"):
            ui.html("<h2>The loop</h2>", sanitize=False)
            if campaign is not None:
                tone = view.tone_of(campaign.state)
                ui.html(panels.chip(view.words(campaign.state), tone), sanitize=False)
                ui.label(f"{campaign.application} · {campaign.kind}").classes("p-soft")
                ui.space()
                self._campaign_chooser(campaign)
        panels.away(answer)
        if campaign is None:
            panels.nothing("No campaign yet: drift or an operator starts one.", answer)
        else:
            panels.way(campaign)

    def _campaign_chooser(self, campaign: Campaign) -> None:
        options = {
            one.campaign_id: f"{one.started_at:%H:%M} · {one.kind} · {view.words(one.state)}"
            for one in self._campaigns()
        }

        def choose(event: Any) -> None:
            self._campaign_id = str(event.value)
            self._frame.redraw()

        picker = ui.select(options, value=campaign.campaign_id, on_change=choose)
        picker.props("dense outlined options-dense").classes("min-w-[250px]")

    def _timeline(self) -> None:
        campaign = self._campaign()
        title("What happened, and on what evidence", "newest first")
        if campaign is None:
            panels.nothing("Every transition of a campaign is shown here with its numbers.")
        else:
            if campaign.outcome_reason:
                ui.label(campaign.outcome_reason).classes("p-soft")
            panels.timeline(campaign)

    def _traffic(self) -> None:
        answer = self._live.read().releases
        rows = [row for row in answer.rows if self._frame.mine(row.application)]
        title("Traffic", "which release answers")
        panels.away(answer)
        serving = [row for row in rows if row.role]
        for application in dict.fromkeys(row.application for row in serving):
            if self._frame.application == EVERY:
                ui.label(application).classes("p-soft mt-3")
            panels.shares([row for row in rows if row.application == application])
        if not serving:
            panels.nothing("No release serves traffic yet.", answer)

    def _drift_notes(self) -> None:
        answer = self._live.read().signals
        rows = [row for row in answer.rows if self._frame.mine(row.application)]
        title("Drift", "each signal's evidence against its alarm threshold")
        panels.away(answer)
        if found := references(rows, self._frame.application):
            panels.references(found)
        elif not rows:
            panels.nothing("The monitor has seen no traffic yet.", answer)

    def _latency_notes(self) -> None:
        answer = self._live.read().windows
        title("Latency", "seconds per answer, by release and minute")
        panels.away(answer)
        if not any(row.answered for row in answer.rows if self._frame.mine(row.application)):
            panels.nothing("No release has answered lately.", answer)

    def _services(self) -> None:
        title("Services", "as their ops ports say")
        found = self._live.read().services
        if found:
            panels.services(found)
        else:
            panels.nothing("No endpoints are known: is the stack up?")

    def _topics(self) -> None:
        answer = self._live.read().topics
        title("Topics", "events on the log, consumers' lag, dead letters")
        panels.away(answer)
        if answer.rows:
            panels.topics(answer.rows)
