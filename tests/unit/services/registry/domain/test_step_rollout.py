"""The campaign's state machine from shadow to promotion or rollback."""

import math
from dataclasses import replace

import pytest

from services.registry.domain.advance import progress
from services.registry.domain.campaign import State
from services.registry.domain.commands import Crown, Expose, Role, Transition, Withdraw
from services.registry.domain.events import CampaignEvent
from services.registry.domain.values import Rollout, Stage
from tests.unit.services.registry import stories
from tests.unit.services.registry.stories import CHAMPION, RELEASE, run


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


def test_evidence_older_than_what_is_known_is_not_looked_at() -> None:
    known = stories.observed(share=0.5, champion_answered=300, scored=250)
    late = stories.observed(share=0.5, champion_answered=300, scored=200, log_e_promote=9.0)

    state, commands = run([*stories.to_last_stage(), known, late])

    assert state.state is State.CANARY
    assert commands == []
