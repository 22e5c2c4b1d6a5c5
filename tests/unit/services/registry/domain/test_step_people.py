"""The campaign's state machine when a person approves, pauses or aborts."""

import pytest

from services.registry.domain.campaign import State
from services.registry.domain.commands import Crown, RequestTraining, Transition, Withdraw
from services.registry.domain.events import Action, CampaignEvent
from services.registry.domain.values import Rollout
from tests.unit.services.registry import stories
from tests.unit.services.registry.stories import run


def review() -> list[CampaignEvent]:
    begun = stories.start(stories.with_rollout(Rollout(review=True)))
    return [*stories.to_last_stage(begun), stories.better()]


def test_a_policy_with_review_waits_for_a_person() -> None:
    state, commands = run(review())

    assert state.state is State.CANARY
    assert state.awaiting_approval
    assert [type(command) for command in commands] == [Transition]


def test_an_approval_promotes() -> None:
    state, commands = run([*review(), stories.acted(Action.APPROVE)])

    assert state.state is State.PROMOTED
    assert Crown in [type(command) for command in commands]


def test_harm_seen_while_waiting_for_approval_rolls_back() -> None:
    harm = stories.observed(share=0.5, champion_answered=999, scored=300, log_e_rollback=3.1)

    state, _ = run([*review(), harm])

    assert state.state is State.ROLLED_BACK


def test_an_approval_that_nobody_asked_for_is_spent() -> None:
    approval = stories.acted(Action.APPROVE)

    state, _ = run([*review()[:-1], approval, stories.better(), approval])

    assert state.awaiting_approval


def test_a_paused_campaign_keeps_results_and_goes_on_when_resumed() -> None:
    pause, resume = stories.acted(Action.PAUSE), stories.acted(Action.RESUME)
    events: list[CampaignEvent] = [stories.requested(), pause, stories.versioned()]

    held, nothing = run(events)
    state, commands = run([*events, resume])

    assert (held.state, nothing) == (State.PREPARING, [])
    assert state.state is State.TRAINING
    assert [type(command) for command in commands] == [Transition, Transition, RequestTraining]


def test_harm_withdraws_a_paused_candidate() -> None:
    harm = stories.observed(share=0.05, champion_answered=70, scored=60, log_e_rollback=3.0)

    state, _ = run([*stories.to_canary(), stories.acted(Action.PAUSE), harm])

    assert state.state is State.ROLLED_BACK


def test_a_paused_canary_is_not_promoted() -> None:
    state, _ = run([*stories.to_last_stage(), stories.acted(Action.PAUSE), stories.better()])

    assert state.state is State.CANARY


@pytest.mark.parametrize(
    ("story", "withdrawn"),
    [(stories.to_loading()[:2], False), (stories.to_canary(), True)],
)
def test_an_abort_ends_it_and_clears_the_table(story: list[CampaignEvent], withdrawn: bool) -> None:
    state, commands = run([*story, stories.acted(Action.ABORT)])

    assert state.state is State.ABORTED
    assert (Withdraw() in commands) is withdrawn
