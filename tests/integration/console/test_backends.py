"""The console's adapters against gRPC servers, ops ports and a broker; and with none of them."""

import json
from pathlib import Path

import pytest

from libs.runtime.clock import SystemClock
from libs.runtime.config import KafkaSettings
from services.console.adapters.backends import (
    Channels,
    Endpoints,
    MonitorRpc,
    OpsPorts,
    RegistryRpc,
)
from services.console.adapters.kafka import KafkaTopics
from services.console.domain import view
from services.console.domain.snapshot import Snapshot, State
from services.console.handlers import Look
from tests.integration.console.backends import serving

TIMEOUT_S = 30.0
NOWHERE = "127.0.0.1:9"


def look(endpoints_file: Path, brokers: str, timeout_s: float = TIMEOUT_S) -> tuple[Look, Channels]:
    endpoints = Endpoints(endpoints_file)
    channels = Channels(endpoints, "operator-token", timeout_s)
    topics = KafkaTopics(KafkaSettings(brokers=brokers), timeout_s)
    ops = OpsPorts(endpoints, timeout_s)
    return Look(ops, topics, RegistryRpc(channels), MonitorRpc(channels), SystemClock()), channels


async def test_one_look_sees_every_backend(tmp_path: Path, brokers: str) -> None:
    async with serving(tmp_path) as backends:
        ask, channels = look(backends.endpoints_file, brokers)
        seen = await ask(Snapshot())
        plane = await ask.scatter("support-answers")
        await channels.close()

    answers = (seen.topics, seen.applications, seen.releases, seen.campaigns, seen.signals)
    watched = (seen.alarms, seen.objectives, seen.decisions)
    assert [answer.away for answer in (*answers, *watched)] == [None] * 8
    assert [len(one.transitions) for one in seen.campaigns.rows] == [9, 5, 7]
    assert seen.campaigns.rows[0].progress == "151 scored answers, 600 at most"
    newest_gates = [(one.identical, one.repeated) for one in seen.releases.rows]
    assert newest_gates == [(0.0, 0), (0.0, 0), (0.9375, 16)]
    assert [one.cause for one in seen.alarms.rows] == ["input"]
    assert [one.verdict for one in seen.decisions.rows] == ["retrain"]
    assert [one.budget_left for one in seen.objectives.rows] == [0.27]
    assert plane is not None
    assert (len(plane.reference), len(plane.recent)) == (200, 200)
    assert "feedback.given.v1" in {topic.name for topic in seen.topics.rows}
    states = {one.name: one.state for one in seen.services}
    assert (states["registry"], states["preprocessing"], states["trainer"]) == (
        State.READY, State.WAITING, State.AWAY
    )  # fmt: skip


async def test_with_nothing_there_every_backend_is_away_in_words(tmp_path: Path) -> None:
    file = tmp_path / "endpoints.json"
    file.write_text(json.dumps({"registry.rpc": NOWHERE, "monitor.rpc": NOWHERE, "x.ops": NOWHERE}))
    ask, channels = look(file, NOWHERE, timeout_s=1.0)

    seen = await ask(Snapshot())
    await channels.close()

    assert seen.topics.away is not None
    assert seen.topics.away.startswith("Kafka cannot be reached")
    assert seen.campaigns.away == "the registry cannot be reached"
    assert seen.signals.away == "the monitor cannot be reached"
    assert {tile.value for tile in view.tiles(seen, view.EVERY)[1:]} == {"?"}


@pytest.mark.parametrize("content", [None, "", "[]", "not json"])
async def test_a_bad_endpoints_file_is_said(tmp_path: Path, content: str | None) -> None:
    file = tmp_path / "endpoints.json"
    if content is not None:
        file.write_text(content)
    ask, _ = look(file, NOWHERE, timeout_s=0.5)

    seen = await ask(Snapshot())

    assert seen.services == ()
    assert seen.signals.away is not None
    assert "endpoints" in seen.signals.away
