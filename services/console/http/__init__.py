"""The web door: a login, and pages over a snapshot that all clients share."""

from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse
from nicegui import app as pages
from nicegui import ui

from libs.http.app import make_app
from services.console.http.drift_page import DriftPage
from services.console.http.live import Live
from services.console.http.page import LoopPage
from services.console.http.plain_pages import not_found_page
from services.console.http.session import Guard, Sessions, add_login

MAX_BODY_BYTES = 256 * 1024


def make_door(live: Live, sessions: Sessions) -> FastAPI:
    """The console's application: everything but the login needs a session."""
    app = make_app("Perennial console", MAX_BODY_BYTES)
    add_login(app, sessions)
    ui.page("/", title="Perennial · Loop", favicon="♻️")(LoopPage(live).show)
    ui.page("/drift", title="Perennial · Drift", favicon="♻️")(DriftPage(live).show)
    pages.add_exception_handler(404, not_found)
    ui.run_with(app, mount_path="/", show_welcome_message=False)
    app.add_middleware(Guard, sessions=sessions)
    return app


async def not_found(request: Request, _: Exception) -> HTMLResponse:
    return HTMLResponse(not_found_page(request.url.path), 404)
