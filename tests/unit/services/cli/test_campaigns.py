"""`perennial campaign`: what is asked for, what is printed meanwhile, and how it ends."""

import json
from typing import Any

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from typer.testing import CliRunner

from protos.preprocessing.v1.preprocessing_events_pb2 import RowFilter
from protos.registry.v1.registry_events_pb2 import CampaignTransitioned, Evidence
from protos.registry.v1.registry_service_pb2 import (
    Campaign,
    StartCampaignRequest,
    StartCampaignResponse,
)
from services.cli import campaigns
from services.cli.commands import app


class Registry:
    """Each look finds the campaign one state further."""

    def __init__(self, *states: str) -> None:
        self.steps = [CampaignTransitioned(to_state=state, reason="why") for state in states]
        self.looks = 0

    def StartCampaign(self, request: StartCampaignRequest, timeout: float) -> StartCampaignResponse:
        self.asked = request
        return StartCampaignResponse(campaign_id="c")

    def GetCampaign(self, request: object, timeout: float) -> Campaign:
        self.looks += 1
        steps = self.steps[: self.looks]
        progress = f"{self.looks} of 99 mirrored answers" if steps[-1].to_state == "shadow" else ""
        return Campaign(
            campaign_id="c", state=steps[-1].to_state, transitions=steps, progress=progress
        )


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


def test_how_far_it_is_is_told_with_a_step_and_at_every_tenth_look(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    registry = Registry("loading", "shadow")
    monkeypatch.setattr(campaigns, "registry", lambda: registry)
    end = CampaignTransitioned(to_state="promoted", reason="why")

    def pass_time(_: float) -> None:
        if registry.looks == 25:
            registry.steps.append(end)

    monkeypatch.setattr("services.cli.campaigns.time.sleep", pass_time)

    told = CliRunner().invoke(app, ["campaign", "watch", "c"]).stdout.splitlines()

    assert [line[23:] for line in told] == [
        "why",
        "why",
        "2 of 99 mirrored answers",
        "11 of 99 mirrored answers",
        "21 of 99 mirrored answers",
        "why",
    ]


def test_show_says_how_far_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    registry = Registry("shadow")
    monkeypatch.setattr(campaigns, "registry", lambda: registry)

    shown = CliRunner().invoke(app, ["campaign", "show", "c"]).stdout

    assert shown.splitlines()[-1] == "shadow: 1 of 99 mirrored answers"


def test_any_other_end_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    assert watch(monkeypatch, "preparing", "rejected").exit_code == 1


@pytest.mark.parametrize(
    ("options", "only"),
    [
        ([], None),
        (["--since", "2026-09-21"], RowFilter(since=Timestamp(seconds=1_789_948_800))),
        (
            ["--until", "2026-09-21T14:13:20", "--segment", "language=de"],
            RowFilter(until=Timestamp(seconds=1_790_000_000), segment="language=de"),
        ),
    ],
)
def test_rows_are_asked_for_by_period_and_segment(
    monkeypatch: pytest.MonkeyPatch, options: list[str], only: RowFilter | None
) -> None:
    registry = Registry()
    monkeypatch.setattr(campaigns, "registry", lambda: registry)

    CliRunner().invoke(app, ["campaign", "start", "-a", "bank", *options])

    assert (registry.asked.only if registry.asked.HasField("only") else None) == only


def test_an_interval_is_shown_only_where_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    registry = Registry("canary")
    registry.steps[0].evidence.extend(
        [Evidence(name="alpha", value=0.02), Evidence(name="gain", value=1, lower=-1, upper=3)]
    )
    monkeypatch.setattr(campaigns, "registry", lambda: registry)

    shown = CliRunner().invoke(app, ["campaign", "show", "c"], env={"COLUMNS": "200"}).stdout
    as_json = CliRunner().invoke(app, ["campaign", "show", "c", "--json"]).stdout

    assert "gain 1 [-1, 3]" in shown
    assert "[0, 0]" not in shown
    alpha, gain = json.loads(as_json)["transitions"][0]["evidence"]
    assert "lower" not in alpha
    assert (gain["lower"], gain["upper"]) == (-1, 3)
