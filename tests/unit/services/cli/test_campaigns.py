"""`perennial campaign watch`: what it prints while a campaign goes on, and how it ends."""

from typing import Any

import pytest
from typer.testing import CliRunner

from protos.registry.v1.registry_events_pb2 import CampaignTransitioned
from protos.registry.v1.registry_service_pb2 import Campaign
from services.cli import campaigns
from services.cli.commands import app


class Registry:
    """Each look finds the campaign one state further."""

    def __init__(self, *states: str) -> None:
        self.steps = [CampaignTransitioned(to_state=state, reason="why") for state in states]
        self.looks = 0

    def GetCampaign(self, request: object, timeout: float) -> Campaign:
        self.looks += 1
        steps = self.steps[: self.looks]
        return Campaign(campaign_id="c", state=steps[-1].to_state, transitions=steps)


def watch(monkeypatch: pytest.MonkeyPatch, *states: str) -> Any:
    registry = Registry(*states)
    monkeypatch.setattr(campaigns, "registry", lambda: registry)
    monkeypatch.setattr(campaigns, "LOOK_EVERY_S", 0)
    return CliRunner().invoke(app, ["campaign", "watch", "c"])


def test_each_step_is_told_once_until_the_promotion(monkeypatch: pytest.MonkeyPatch) -> None:
    ended = watch(monkeypatch, "preparing", "training", "promoted")

    assert [line.split()[1:] for line in ended.stdout.splitlines()] == [
        ["preparing", "why"],
        ["training", "why"],
        ["promoted", "why"],
    ]
    assert ended.exit_code == 0


def test_any_other_end_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    assert watch(monkeypatch, "preparing", "rejected").exit_code == 1
