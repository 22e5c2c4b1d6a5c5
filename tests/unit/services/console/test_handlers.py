"""A look at backends that may be away."""

import pytest

from libs.runtime.clock import ManualClock
from services.console.domain.snapshot import Snapshot
from services.console.handlers import Look
from services.console.http.live import WATCHED_S, Live
from tests.unit.services.console.fakes import Backends


def look(backends: Backends) -> Look:
    return Look(backends, backends, backends, backends, ManualClock())


async def test_one_look_asks_every_backend() -> None:
    seen = await look(Backends())(Snapshot())

    assert [one.name for one in seen.services] == ["registry"]
    assert [len(a.rows) for a in (seen.topics, seen.releases, seen.campaigns, seen.signals)] == [
        1, 1, 1, 1
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("backend", "fields"),
    [
        ("kafka", {"topics"}),
        ("registry", {"applications", "releases", "campaigns"}),
        ("monitor", {"signals", "windows", "alarms", "objectives", "decisions"}),
    ],
)
async def test_a_backend_that_goes_away_keeps_its_last_rows_and_hurts_no_other(
    backend: str, fields: set[str]
) -> None:
    backends = Backends()
    before = await look(backends)(Snapshot())
    backends.away.add(backend)

    after = await look(backends)(before)

    names = (
        *("topics", "applications", "releases", "campaigns", "signals", "windows"),
        *("alarms", "objectives", "decisions"),
    )
    assert {name for name in names if getattr(after, name).away} == fields
    assert all(getattr(after, name).rows == getattr(before, name).rows for name in names)


async def test_without_any_endpoint_there_are_no_services() -> None:
    seen = await look(Backends(away={"services"}))(Snapshot())

    assert seen.services == ()


async def test_the_plane_of_prompts_is_asked_for_by_itself() -> None:
    found = await look(Backends()).scatter("bank")
    gone = await look(Backends(away={"monitor"})).scatter("bank")

    assert found is not None
    assert found.recent == ((1.0, 1.0),)
    assert gone is None


async def test_nothing_is_asked_while_nobody_watches() -> None:
    clock = ManualClock()
    live = Live(look(Backends()), clock, 2.0, _nothing)

    before = live.watched()
    live.read()
    watching = live.watched()
    clock.advance(WATCHED_S + 1)

    assert (before, watching, live.watched()) == (False, True, False)


async def _nothing() -> None:
    return None
