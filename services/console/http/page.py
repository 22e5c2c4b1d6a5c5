"""The page "Loop": panels over the live snapshot, redrawn when it changed."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

from fastapi import Request
from nicegui import ui

from services.console.domain import charts, view
from services.console.domain.snapshot import Campaign, Snapshot
from services.console.domain.view import EVERY
from services.console.http import panels
from services.console.http.live import Live
from services.console.http.login_page import LOGO
from services.console.http.theme import ACCENT, CSS

LOOK_AGAIN_S = 1.0
THEME = "perennial-theme"


@dataclass(frozen=True, slots=True)
class LoopPage:
    live: Live

    def show(self, request: Request) -> None:
        """Build the page for one client."""
        LoopView(self.live, dark=request.cookies.get(THEME)).build()


class LoopView:
    """One client's page; ``dark`` is "dark", "light", or None for what its system prefers."""

    def __init__(self, live: Live, dark: str | None) -> None:
        self._live = live
        self._mode = ui.dark_mode({"dark": True, "light": False}.get(dark or "", False))
        self._application = EVERY
        self._campaign_id = ""
        self._revision = -1
        self._panels: list[Callable[[], object]] = []

    def build(self) -> None:
        ui.add_css(CSS)
        ui.colors(primary=ACCENT)
        with ui.element("div").classes("p-head"):
            self._header()
        with ui.element("main").classes("p-main"):
            with ui.element("div").style("grid-column:1/-1"):
                self._panel(self._tiles)
            with _card(12):
                self._panel(self._way)
            with _card(8):
                self._drift = self._chart(self._drift_notes)
            with _card(4):
                self._panel(self._traffic)
            with _card(5):
                self._panel(self._timeline)
            with _card(7):
                self._latency = self._chart(self._latency_notes)
                ui.separator().classes("my-4")
                self._panel(self._services)
            with _card(12):
                self._panel(self._topics)
        ui.timer(LOOK_AGAIN_S, self._turn)
        self._draw()

    def _header(self) -> None:
        ui.html(LOGO, sanitize=False)
        ui.html("<h1>Perennial</h1><div class='p-soft'>the loop, live</div>", sanitize=False)
        ui.space()
        self._fresh = ui.label().classes("p-soft")
        self._chooser = ui.select({EVERY: "all applications"}, value=EVERY, on_change=self._choose)
        self._chooser.props("dense outlined options-dense").classes("min-w-[190px]")
        ui.button(icon="contrast", on_click=self._toggle).props("flat round dense").tooltip(
            "Light or dark"
        )
        with ui.element("form").props('method=post action="/logout"'):
            ui.button(icon="logout").props("flat round dense type=submit").tooltip("Log out")

    def _panel(self, draw: Callable[[], None]) -> None:
        refreshable = ui.refreshable(draw)
        refreshable()
        self._panels.append(refreshable.refresh)

    def _chart(self, notes: Callable[[], None]) -> ui.echart:
        self._panel(notes)
        return ui.echart({}).classes("w-full").style("height:300px")

    def _turn(self) -> None:
        snapshot = self._live.read()
        if snapshot.at is not None:
            self._fresh.text = f"as of {snapshot.at:%H:%M:%S} UTC"
        if self._live.revision != self._revision:
            self._revision = self._live.revision
            self._draw()

    def _draw(self) -> None:
        snapshot = self._live.read()
        names = {EVERY: "all applications"} | {one: one for one in snapshot.applications.rows}
        if self._chooser.options != names:
            self._chooser.set_options(names)
        for refresh in self._panels:
            refresh()
        self._draw_charts(snapshot)

    def _draw_charts(self, snapshot: Snapshot) -> None:
        dark = bool(self._mode.value)
        signals = [row for row in snapshot.signals.rows if self._mine(row.application)]
        windows = [row for row in snapshot.windows.rows if self._mine(row.application)]
        _redraw(self._drift, charts.drift([s for s in signals if s.history], dark))
        _redraw(self._latency, charts.latency(windows, dark))

    def _mine(self, application: str) -> bool:
        return self._application in (EVERY, application)

    def _choose(self, event: Any) -> None:
        self._application = str(event.value)
        self._campaign_id = ""
        self._draw()

    def _toggle(self) -> None:
        self._mode.value = not self._mode.value
        chosen = "dark" if self._mode.value else "light"
        ui.run_javascript(f"document.cookie='{THEME}={chosen};path=/;max-age=31536000'")
        self._draw_charts(self._live.read())

    def _campaigns(self) -> tuple[Campaign, ...]:
        return view.of(self._live.read().campaigns.rows, self._application)

    def _campaign(self) -> Campaign | None:
        found = self._campaigns()
        chosen = (one for one in found if one.campaign_id == self._campaign_id)
        return next(chosen, found[0] if found else None)

    def _tiles(self) -> None:
        panels.tiles(view.tiles(self._live.read(), self._application))

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
            self._draw()

        picker = ui.select(options, value=campaign.campaign_id, on_change=choose)
        picker.props("dense outlined options-dense").classes("min-w-[250px]")

    def _timeline(self) -> None:
        campaign = self._campaign()
        _title("What happened, and on what evidence", "newest first")
        if campaign is None:
            panels.nothing("Every transition of a campaign is shown here with its numbers.")
        else:
            if campaign.outcome_reason:
                ui.label(campaign.outcome_reason).classes("p-soft")
            panels.timeline(campaign)

    def _traffic(self) -> None:
        answer = self._live.read().releases
        rows = [row for row in answer.rows if self._mine(row.application)]
        _title("Traffic", "which release answers")
        panels.away(answer)
        serving = [row for row in rows if row.role]
        for application in dict.fromkeys(row.application for row in serving):
            if self._application == EVERY:
                ui.label(application).classes("p-soft mt-3")
            panels.shares([row for row in rows if row.application == application])
        if not serving:
            panels.nothing("No release serves traffic yet.", answer)

    def _drift_notes(self) -> None:
        answer = self._live.read().signals
        rows = [row for row in answer.rows if self._mine(row.application)]
        _title("Drift", "each signal's evidence against its alarm threshold")
        panels.away(answer)
        collecting = [row for row in rows if not row.history]
        for row in collecting[:4]:
            done = f"{row.reference_events:,} of {row.reference_wanted:,}"
            text = f"{view.words(row.name)} · {view.short(row.release_digest)}: {row.phase}, {done}"
            ui.label(text).classes("p-soft")
        if not rows:
            panels.nothing("The monitor has seen no traffic yet.", answer)

    def _latency_notes(self) -> None:
        answer = self._live.read().windows
        _title("Latency", "seconds per answer, by release and minute")
        panels.away(answer)

    def _services(self) -> None:
        _title("Services", "as their ops ports say")
        found = self._live.read().services
        if found:
            panels.services(found)
        else:
            panels.nothing("No endpoints are known: is the stack up?")

    def _topics(self) -> None:
        answer = self._live.read().topics
        _title("Topics", "events on the log, consumers' lag, dead letters")
        panels.away(answer)
        if answer.rows:
            panels.topics(answer.rows)


def _card(columns: int) -> AbstractContextManager[Any]:
    return ui.element("section").classes("p-card").style(f"grid-column:span {columns}")


def _title(text: str, note: str) -> None:
    with ui.row().classes("items-baseline gap-2 w-full"):
        ui.html(f"<h2>{text}</h2>", sanitize=False)
        ui.label(note).classes("p-soft")


def _redraw(chart: ui.echart, options: dict[str, Any]) -> None:
    chart.set_visibility(bool(options["series"]))
    chart.options.clear()
    chart.options.update(options)
    chart.update()
