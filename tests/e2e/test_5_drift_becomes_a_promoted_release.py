"""The demo's story, smaller: the same services, the same steps, the same demands."""

import pytest

from infra.demo import data
from infra.demo.data import Pair
from infra.demo.page import page
from infra.demo.report import read, report
from infra.demo.scale import QUICK
from infra.demo.story import Story
from services.cli.session import Session


@pytest.mark.timeout(2400)
async def test_drift_becomes_a_promoted_release_and_bad_candidates_do_not(
    session: Session, served: str, bank: list[Pair]
) -> None:
    story = Story(
        session=session,
        scale=QUICK,
        application=f"story-{served}",
        bank=bank,
        python=data.ordered(data.python_pairs(), "python"),
    )

    await story.play()

    found = report(read(story), True, "")
    outcomes = {campaign["role"]: campaign["outcome"] for campaign in found["campaigns"]}
    assert outcomes == {
        "first": "promoted",
        "retraining": "promoted",
        "shuffled": "rejected",
        "forced": "rolled_back",
    }
    assert all(campaign["replay_agrees"] for campaign in found["campaigns"])
    assert found["requests"]["failed"] == 0
    assert found["events"]["lost"] == 0
    assert len(found["lineage"]) == 3
    assert page(found | {"shifted_at_request": story.shifted_at_request}, [], 0.0).startswith("<!")
