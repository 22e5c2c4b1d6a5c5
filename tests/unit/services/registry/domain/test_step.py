"""The campaign's state machine up to a loaded candidate, and the events that are not for it."""

from dataclasses import replace

import pytest

from services.registry.domain.campaign import State
from services.registry.domain.commands import (
    Crown,
    Expose,
    RegisterCandidate,
    RequestDataset,
    RequestTraining,
    Role,
    Transition,
    Withdraw,
)
from services.registry.domain.events import (
    CampaignEvent,
    DatasetRefused,
    EvaluationFailed,
    TrainingFailed,
    TrainingStarted,
)
from tests.unit.services.registry import stories
from tests.unit.services.registry.stories import CAMPAIGN, CHAMPION_MODEL, RELEASE, run


def test_a_request_asks_for_a_dataset_of_its_collection() -> None:
    state, commands = run([stories.requested(collection="poison")])

    assert state.state is State.PREPARING
    assert isinstance(commands[1], RequestDataset)
    assert commands[1].query.collection == "poison"


def test_the_first_transition_records_the_error_budget() -> None:
    begun = stories.start(ordinal=2, promotions=1)

    _, commands = run([stories.requested(begun)])

    assert isinstance(commands[0], Transition)
    budget = {each.name: each.value for each in commands[0].evidence}
    assert budget["alpha"] == pytest.approx(0.01309, abs=1e-5)
    assert budget["log_e_promote_threshold"] == pytest.approx(4.3358, abs=1e-4)


def test_a_request_while_another_campaign_is_active_is_refused() -> None:
    state, commands = run([stories.requested(stories.start(active="c-0"))])

    assert state.state is State.FAILED
    assert state.outcome_reason == "campaign c-0 is active"
    assert [type(command) for command in commands] == [Transition]


def test_a_dataset_version_is_trained_on() -> None:
    state, commands = run([stories.requested(), stories.versioned()])

    assert state.state is State.TRAINING
    assert isinstance(commands[1], RequestTraining)
    assert commands[1].run_id == f"run-{CAMPAIGN}"


def test_a_trained_model_is_evaluated_against_the_champion() -> None:
    state, commands = run([stories.requested(), stories.versioned(), stories.trained()])

    assert state.state is State.EVALUATING
    assert isinstance(commands[1], RegisterCandidate)
    assert commands[1].reference == CHAMPION_MODEL


def test_a_passed_evaluation_puts_the_candidate_into_the_shadow_share() -> None:
    state, commands = run(stories.to_loading())

    assert state.state is State.LOADING
    assert commands[1:] == [Expose(RELEASE, Role.SHADOW, 0.5)]


def test_a_failed_evaluation_rejects_and_touches_no_routing() -> None:
    events = [*stories.to_loading()[:-1], stories.evaluated(passed=False)]

    state, commands = run(events)

    assert state.state is State.REJECTED
    assert [type(command) for command in commands] == [Transition]


def test_an_override_passes_over_a_failed_evaluation_and_is_written_down() -> None:
    request = stories.requested(override="drill")
    events: list[CampaignEvent] = [request, *stories.to_loading()[1:3]]
    events.append(stories.evaluated(passed=False))

    state, commands = run(events)

    assert state.state is State.LOADING
    assert isinstance(commands[0], Transition)
    assert "failed evaluation overridden (drill)" in commands[0].reason


def test_the_first_release_is_staged_without_share_and_crowned_when_it_answers() -> None:
    begun = stories.start(champion=None)

    _, staged = run(stories.to_loading(begun))
    state, commands = run(stories.to_shadow(begun))

    assert staged[1:] == [Expose(RELEASE, Role.SHADOW, 0.0)]
    assert state.state is State.PROMOTED
    assert not state.tested
    assert commands[1:] == [Crown(RELEASE)]


def test_an_engine_that_cannot_be_loaded_fails_the_campaign() -> None:
    state, commands = run([*stories.to_loading(), stories.loaded(ready=False)])

    assert state.state is State.FAILED
    assert "out of memory" in state.outcome_reason
    assert commands[1:] == [Withdraw()]


def test_a_refused_dataset_fails_it() -> None:
    refused = DatasetRefused(stories.cause(), CAMPAIGN, "no_training_rows", "0 rows")

    state, _ = run([stories.requested(), refused])

    assert state.outcome_reason == "no dataset version, no_training_rows: 0 rows"


def test_a_failed_training_fails_it() -> None:
    failed = TrainingFailed(stories.cause(), CAMPAIGN, "crashed", "killed")

    state, _ = run([*stories.to_loading()[:2], failed])

    assert state.state is State.FAILED


def test_an_evaluation_without_verdict_fails_it() -> None:
    failed = EvaluationFailed(stories.cause(), CAMPAIGN, "crashed", "killed")

    state, _ = run([*stories.to_loading()[:3], failed])

    assert state.state is State.FAILED


def test_training_attempts_are_counted() -> None:
    second = TrainingStarted(stories.cause(), CAMPAIGN, 2)

    state, commands = run([*stories.to_loading()[:2], second])

    assert (state.attempts, commands) == (2, [])


def test_the_evaluation_of_another_model_is_not_this_campaigns() -> None:
    other = replace(stories.evaluated(), candidate_digest="other")

    state, _ = run([*stories.to_loading()[:3], other])

    assert state.state is State.EVALUATING


@pytest.mark.parametrize("length", range(1, 9))
def test_events_of_states_gone_by_change_nothing(length: int) -> None:
    story = [*stories.to_last_stage(), stories.better()]
    before, _ = run(story[:length])

    after, commands = run([*story[:length], *story[:length]])

    assert after == before
    assert commands == []


def test_another_campaigns_events_change_nothing() -> None:
    foreign = replace(stories.versioned(), campaign_id="c-2")

    state, _ = run([stories.requested(), foreign])

    assert state.state is State.PREPARING
