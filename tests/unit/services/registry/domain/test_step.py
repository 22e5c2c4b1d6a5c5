"""The campaign's state machine."""

import math
from dataclasses import replace

import pytest

from services.registry.domain.advance import progress
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
    Action,
    CampaignEvent,
    DatasetRefused,
    EvaluationFailed,
    TrainingFailed,
    TrainingStarted,
)
from services.registry.domain.values import Rollout, Stage
from tests.unit.services.registry import stories
from tests.unit.services.registry.stories import CAMPAIGN, CHAMPION, CHAMPION_MODEL, RELEASE, run


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


@pytest.mark.parametrize(
    ("events", "told"),
    [
        ([stories.requested()], ""),
        (stories.to_shadow(), "0 of 20 mirrored answers"),
        ([*stories.to_shadow(), stories.shadowed(9, 1)], "10 of 20 mirrored answers, 1 failed"),
        (stories.to_canary(), "0 of 20 answers at 5%; 0 scored answers, 600 at most"),
        (
            [
                *stories.to_canary(),
                stories.observed(share=0.05, stage_answered=12, champion_answered=12, scored=7),
            ],
            "12 of 20 answers at 5%; 7 scored answers, 600 at most",
        ),
        (
            [
                *stories.to_canary(),
                stories.observed(share=0.05, stage_answered=20, champion_answered=20, scored=9),
            ],
            "0 of 40 answers at 25%; 9 scored answers, 600 at most",
        ),
        (
            [
                *stories.to_last_stage(),
                stories.observed(share=0.5, champion_answered=60, scored=38, log_e_promote=1.25),
            ],
            "38 scored answers, 600 at most; ln e 1.25 of 3.70 to promote",
        ),
    ],
)
def test_how_far_a_rollout_is_is_told_from_its_own_figures(
    events: list[CampaignEvent], told: str
) -> None:
    assert progress(run(events)[0]) == told


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


def test_an_engine_lost_in_the_canary_rolls_back() -> None:
    state, commands = run([*stories.to_canary(), stories.loaded(ready=False)])

    assert state.state is State.ROLLED_BACK
    assert commands[1:] == [Withdraw()]


def test_a_champion_that_cannot_be_served_fails_the_comparison() -> None:
    events = [*stories.to_shadow(), stories.loaded(ready=False, release=CHAMPION)]

    state, _ = run(events)

    assert state.state is State.FAILED
    assert "the champion" in state.outcome_reason


def test_the_shadow_waits_for_its_requests() -> None:
    state, _ = run([*stories.to_shadow(), stories.shadowed(answered=19)])

    assert state.state is State.SHADOW


def test_a_shadow_without_failures_becomes_the_first_canary_stage() -> None:
    state, commands = run(stories.to_canary())

    assert state.state is State.CANARY
    assert state.share == 0.05
    assert commands[1:] == [Expose(RELEASE, Role.CANARY, 0.05)]


def test_a_shadow_that_fails_too_often_is_rejected() -> None:
    state, commands = run([*stories.to_shadow(), stories.shadowed(answered=4, failed=3)])

    assert state.state is State.REJECTED
    assert commands[1:] == [Withdraw()]


def test_the_canary_grows_stage_by_stage() -> None:
    state, commands = run(stories.to_last_stage())

    assert (state.stage, state.share) == (2, 0.5)
    assert commands[1:] == [Expose(RELEASE, Role.CANARY, 0.5)]


def test_evidence_of_the_stage_before_does_not_advance_the_next_one() -> None:
    late = stories.observed(share=0.05, stage_answered=99, champion_answered=99)

    state, commands = run([*stories.to_last_stage()[:-1], late])

    assert state.share == 0.25
    assert commands == []


def test_enough_evidence_in_the_last_stage_promotes() -> None:
    state, commands = run([*stories.to_last_stage(), stories.better()])

    assert state.state is State.PROMOTED
    assert state.share == 1.0
    assert commands[1:] == [Crown(RELEASE)]


def test_a_promotion_records_the_difference_with_its_interval() -> None:
    _, commands = run([*stories.to_last_stage(), stories.better()])

    assert isinstance(commands[0], Transition)
    difference = commands[0].evidence[0]
    assert (difference.name, difference.lower, difference.upper, difference.n) == (
        "score_difference",
        -0.01,
        0.17,
        110,
    )


def test_the_same_evidence_does_not_promote_before_the_last_stage() -> None:
    seen = stories.better()
    early = replace(seen, observed=replace(seen.observed, share=0.05))

    state, _ = run([*stories.to_canary(), early])

    assert state.state is State.CANARY


def test_evidence_below_this_campaigns_part_of_the_budget_does_not_promote() -> None:
    seen = stories.better()
    weak = replace(seen, observed=replace(seen.observed, log_e_promote=-math.log(0.05) + 0.5))

    state, _ = run([*stories.to_last_stage(), weak])

    assert state.state is State.CANARY


def test_evidence_of_harm_rolls_back_in_any_stage() -> None:
    harm = stories.observed(share=0.05, champion_answered=70, scored=60, log_e_rollback=3.0)

    state, commands = run([*stories.to_canary(), harm])

    assert state.state is State.ROLLED_BACK
    assert commands[1:] == [Withdraw()]


def test_a_candidate_that_fails_much_more_often_than_the_champion_rolls_back() -> None:
    broken = stories.observed(
        share=0.05, candidate_answered=5, candidate_failed=3, champion_answered=100
    )

    state, _ = run([*stories.to_canary(), broken])

    assert state.state is State.ROLLED_BACK
    assert state.outcome_reason == "3 of 8 requests failed, the champion's 0 of 100"


def test_as_many_failures_as_the_champions_do_not_roll_back() -> None:
    shaky = stories.observed(
        share=0.05,
        candidate_answered=5,
        candidate_failed=3,
        champion_answered=60,
        champion_failed=40,
    )

    state, _ = run([*stories.to_canary(), shaky])

    assert state.state is State.CANARY


def test_a_canary_without_decision_ends_as_futile() -> None:
    tired = stories.observed(share=0.5, champion_answered=900, scored=600)

    state, commands = run([*stories.to_last_stage(), tired])

    assert state.state is State.ROLLED_BACK
    assert state.outcome_reason.startswith("futile")
    assert commands[1:] == [Withdraw()]


def test_a_single_stage_canary_promotes_from_it() -> None:
    begun = stories.start(stories.with_rollout(Rollout(stages=(Stage(0.5, 0),))))

    state, _ = run([*stories.to_canary(begun), stories.better()])

    assert state.state is State.PROMOTED


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


def test_evidence_older_than_what_is_known_is_not_looked_at() -> None:
    known = stories.observed(share=0.5, champion_answered=300, scored=250)
    late = stories.observed(share=0.5, champion_answered=300, scored=200, log_e_promote=9.0)

    state, commands = run([*stories.to_last_stage(), known, late])

    assert state.state is State.CANARY
    assert commands == []
