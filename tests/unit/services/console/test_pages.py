"""The door as a whole, over backends that are twins."""

from fastapi.testclient import TestClient

from libs.runtime.clock import ManualClock
from services.console.handlers import Look
from services.console.http import make_door
from services.console.http.live import Live
from services.console.http.session import COOKIE, Sessions
from tests.unit.services.console.fakes import Backends


def test_an_address_without_a_page_leads_back() -> None:
    clock, all_of = ManualClock(), Backends()
    look = Look(all_of, all_of, all_of, all_of, clock)
    sessions = Sessions("token", 12.0, clock)
    door = make_door(Live(look, clock, 2.0, _nothing), sessions)

    answer = TestClient(door, cookies={COOKIE: sessions.begin()}).get("/<nowhere>")

    assert answer.status_code == 404
    assert "&lt;nowhere&gt;" in answer.text
    assert '<a href="/">' in answer.text


async def _nothing() -> None:
    return None
