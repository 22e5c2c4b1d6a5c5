"""The web door: a login, and pages over a snapshot that all clients share."""

from fastapi import FastAPI
from nicegui import ui

from libs.http.app import make_app
from services.console.http.drift_page import DriftPage
from services.console.http.live import Live
from services.console.http.page import LoopPage
from services.console.http.session import Guard, Sessions, add_login

MAX_BODY_BYTES = 256 * 1024


def make_door(live: Live, sessions: Sessions) -> FastAPI:
    """The console's application: everything but the login needs a session."""
    app = make_app("Perennial console", MAX_BODY_BYTES)
    add_login(app, sessions)
    ui.page("/", title="Perennial · Loop", favicon="♻️")(LoopPage(live).show)
    ui.page("/drift", title="Perennial · Drift", favicon="♻️")(DriftPage(live).show)
    ui.run_with(app, mount_path="/", show_welcome_message=False)
    app.add_middleware(Guard, sessions=sessions)
    return app
