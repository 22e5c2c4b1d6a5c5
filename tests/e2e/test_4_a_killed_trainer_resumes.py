"""kill -9 of the trainer in the middle of a run: it goes on from its last checkpoint."""

from pathlib import Path

import pytest

from infra.demo.observe import ENDED, Observer
from infra.demo.operator import Operator
from infra.local import stack
from libs.events.topics import TRAINING_COMPLETED, TRAINING_PROGRESSED, TRAINING_STARTED
from services.cli.session import Session
from tests.e2e.conftest import eventually


@pytest.mark.timeout(1300)
def test_a_killed_trainer_resumes_from_its_last_checkpoint(
    home: Path, session: Session, served: str
) -> None:
    observer = Observer(session, served)
    campaign = Operator(session, served).start("", "end-to-end test")

    def steps() -> list[int]:
        events = observer.events(TRAINING_PROGRESSED)
        return [one.event.step for one in events if one.event.campaign_id == campaign]

    eventually(lambda: bool(steps()) and max(steps()) >= 6, "a checkpoint", 300)
    stack.kill(home, "trainer")

    def completed() -> bool:
        events = observer.events(TRAINING_COMPLETED)
        return any(one.event.campaign_id == campaign for one in events)

    eventually(completed, "the run to complete", 600)
    attempts = [
        one.event for one in observer.events(TRAINING_STARTED) if one.event.campaign_id == campaign
    ]
    assert [one.attempt for one in attempts] == [1, 2]
    assert attempts[1].resumed_from_step > 0
    eventually(
        lambda: observer.campaign(campaign).state in ENDED | {"shadow", "loading", "building"},
        "a verdict",
        200,
    )
