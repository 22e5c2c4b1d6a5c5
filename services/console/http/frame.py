"""What the pages share: head, choice of the application, theme, and the turn that redraws."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from html import escape
from typing import Any, Final

from fastapi import Request
from nicegui import ui

from services.console.domain.snapshot import Snapshot
from services.console.domain.view import EVERY
from services.console.http.live import Live
from services.console.http.plain_pages import LOGO
from services.console.http.theme import ACCENT, CSS

LOOK_AGAIN_S: Final = 1.0
THEME: Final = "perennial-theme"
PAGES: Final = (("/", "The loop"), ("/drift", "Drift"))


@dataclass(slots=True)
class Frame:
    """One client's page. ``draw`` is called with every snapshot that is new."""

    live: Live
    path: str
    draw: Callable[[Snapshot], None]
    application: str = EVERY
    _panels: list[Callable[[], object]] = field(default_factory=list)
    _revision: int = -1
    _mode: Any = None
    _fresh: Any = None
    _chooser: Any = None

    @property
    def dark(self) -> bool:
        return bool(self._mode.value)

    def mine(self, application: str) -> bool:
        return self.application in (EVERY, application)

    def build(self, request: Request, body: Callable[[], None]) -> None:
        """The page; ``body`` fills it."""
        self._mode = ui.dark_mode(_theme(request))
        ui.add_css(CSS)
        ui.colors(primary=ACCENT)
        with ui.element("div").classes("p-head"):
            self._head()
        with ui.element("main").classes("p-main"):
            body()
        ui.timer(LOOK_AGAIN_S, self._turn)
        self.redraw()

    def panel(self, draw: Callable[[], None]) -> None:
        """Draw here now, and again with every snapshot."""
        refreshable = ui.refreshable(draw)
        refreshable()
        self._panels.append(refreshable.refresh)

    def redraw(self) -> None:
        snapshot = self.live.read()
        names = {EVERY: "all applications"} | {one: one for one in snapshot.applications.rows}
        if self._chooser.options != names:
            self._chooser.set_options(names)
        for refresh in self._panels:
            refresh()
        self.draw(snapshot)

    def _head(self) -> None:
        ui.html(LOGO, sanitize=False)
        ui.html("<h1>Perennial</h1>", sanitize=False)
        links = "".join(
            f'<a href="{path}"{" class=p-here" if path == self.path else ""}>{escape(name)}</a>'
            for path, name in PAGES
        )
        ui.html(f'<nav class="p-nav">{links}</nav>', sanitize=False)
        ui.space()
        self._fresh = ui.label().classes("p-soft whitespace-nowrap")
        self._chooser = ui.select({EVERY: "all applications"}, value=EVERY, on_change=self._choose)
        self._chooser.props("dense outlined options-dense").classes("p-choose")
        ui.button(icon="contrast", on_click=self._toggle).props("flat round dense").tooltip(
            "Light or dark"
        )
        with ui.element("form").props('method=post action="/logout"'):
            ui.button(icon="logout").props("flat round dense type=submit").tooltip("Log out")

    def _turn(self) -> None:
        snapshot = self.live.read()
        if snapshot.at is not None:
            self._fresh.text = f"as of {snapshot.at:%H:%M:%S} UTC"
        if self.live.revision != self._revision:
            self._revision = self.live.revision
            self.redraw()

    def _choose(self, event: Any) -> None:
        self.application = str(event.value)
        self.redraw()

    def _toggle(self) -> None:
        self._mode.value = not self._mode.value
        chosen = "dark" if self._mode.value else "light"
        ui.run_javascript(f"document.cookie='{THEME}={chosen};path=/;max-age=31536000'")
        self.draw(self.live.read())


def card(columns: int) -> AbstractContextManager[Any]:
    return ui.element("section").classes("p-card").style(f"grid-column:span {columns}")


def title(text: str, note: str) -> None:
    with ui.row().classes("items-baseline gap-2 w-full"):
        ui.html(f"<h2>{escape(text)}</h2>", sanitize=False)
        ui.label(note).classes("p-soft")


def chart(height_px: int = 300) -> ui.echart:
    return ui.echart({}).classes("w-full").style(f"height:{height_px}px")


def redraw(shown: ui.echart, options: dict[str, Any]) -> None:
    shown.set_visibility(bool(options["series"]))
    shown.options.clear()
    shown.options.update(options)
    shown.update()


def _theme(request: Request) -> bool | None:
    """What the client chose; None is what its system prefers."""
    chosen = request.cookies.get(THEME, "")
    return {"dark": True, "light": False}.get(chosen)
