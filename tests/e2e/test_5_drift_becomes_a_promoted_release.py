"""The demo's story, smaller: the same services, the same demands, all but its last step."""

import pytest

from infra.demo import data
from infra.demo.data import Pair
from infra.demo.page import page
from infra.demo.report import read, report
from infra.demo.scale import QUICK
from infra.demo.story import Story
from services.cli.session import Session


@pytest.mark.timeout(2400)
async def test_drift_becomes_a_promoted_release_and_a_bad_candidate_does_not(
    session: Session, served: str, bank: list[Pair]
) -> None:
    story = Story(
        session=session,
        scale=QUICK,
        application=f"story-{served}",
        bank=bank,
        python=data.ordered(data.python_pairs(), "python"),
    )

    # A small story's loose margin would rightly let a mildly bad candidate pass: the forced
    # one is the demo's, at full size.
    await story.play(forced=False)

    found = report(read(story), True, "")
    outcomes = {campaign["role"]: campaign["outcome"] for campaign in found["campaigns"]}
    assert outcomes == {
        "first": "promoted",
        "retraining": "promoted",
        "shuffled": "rejected",
    }
    assert all(campaign["replay_agrees"] for campaign in found["campaigns"])
    assert found["requests"]["failed"] == 0
    assert found["events"]["lost"] == 0
    assert len(found["lineage"]) == 2  # one for each release that served
    assert page(found | {"shifted_at_request": story.shifted_at_request}, [], 0.0).startswith("<!")
