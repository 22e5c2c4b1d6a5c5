"""The state machine where an engine is built, and where nothing is trained."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.registry.domain.campaign import UPGRADE, Campaign, State
from services.registry.domain.commands import (
    Approve,
    Crown,
    Expose,
    RegisterCandidate,
    RequestDataset,
    RequestEngine,
    Role,
    Transition,
    Withdraw,
)
from services.registry.domain.events import (
    Action,
    CampaignEvent,
    EngineFailed,
    Requested,
    Superseded,
)
from services.registry.domain.policies import Provider
from services.registry.domain.releases import release_of, with_engine, with_prompt, with_provider
from services.registry.domain.replay import replay, state_sha256
from services.registry.domain.step import step
from services.registry.domain.values import Engine, Prompt
from tests.unit.services.registry import stories
from tests.unit.services.registry.domain.test_replay import PATIENT, live
from tests.unit.services.registry.stories import (
    APPLICATION,
    BUILT,
    CAMPAIGN,
    CANDIDATE,
    CHAMPION,
    CHAMPION_MODEL,
    FILE,
    run,
)

WEIGHTS = replace(CANDIDATE, engine=None)
RELEASE = release_of(APPLICATION, replace(CANDIDATE, engine=BUILT))
OLD = Engine("engine-old", "openvino-genai", "1", "f16", weights=FILE, tokenizer=FILE)
TERSE = with_prompt(CHAMPION, Prompt(2, "Briefly: {{ question }}", (), 32_768))
API = with_provider(CHAMPION, Provider("backup", "https://api.example.com/v1", "small-1", 30.0))


def test_an_engine_is_asked_for_once_the_evaluation_passed() -> None:
    state, commands = run(stories.to_building())

    assert state.state is State.BUILDING
    (asked,) = [each for each in commands if isinstance(each, RequestEngine)]
    assert (asked.build_id, asked.model, asked.held_out) == (f"build-{CAMPAIGN}", WEIGHTS, FILE)
    assert asked.policy.precision == "q8_0"


def test_a_candidate_without_engine_is_compared_with_the_champions_weights() -> None:
    _, commands = run(stories.to_building()[:3])

    (candidacy,) = [each for each in commands if isinstance(each, RegisterCandidate)]
    assert candidacy.reference == replace(CHAMPION_MODEL, engine=None)


def test_a_failed_evaluation_builds_nothing() -> None:
    state, commands = run([*stories.to_building()[:3], stories.evaluated(passed=False)])

    assert state.state is State.REJECTED
    assert [type(each) for each in commands] == [Transition]


def test_an_engine_that_passed_its_gate_is_loaded_in_the_release() -> None:
    state, commands = run([*stories.to_building(), stories.built()])

    assert state.state is State.LOADING
    assert commands[1:] == [Expose(RELEASE, Role.SHADOW, 0.5)]
    assert isinstance(commands[0], Transition)
    assert commands[0].evidence[0].name == "loss_difference"


def test_an_engine_that_strays_from_its_weights_rejects_the_candidate() -> None:
    state, commands = run([*stories.to_building(), stories.built(passed=False)])

    assert state.state is State.REJECTED
    assert "loss +0.004" in state.outcome_reason
    assert [type(each) for each in commands] == [Transition]


def test_no_override_passes_over_an_engines_gate() -> None:
    request = stories.requested(override="drill")

    state, _ = run([request, *stories.to_building()[1:], stories.built(passed=False)])

    assert state.state is State.REJECTED


def test_a_build_that_failed_fails_it() -> None:
    failed = EngineFailed(stories.cause(), CAMPAIGN, CANDIDATE.digest, "no_builder", "q3_k")

    state, _ = run([*stories.to_building(), failed])

    assert (state.state, state.outcome_reason) == (State.FAILED, "no engine, no_builder: q3_k")


def test_the_engine_of_another_model_is_not_this_campaigns() -> None:
    state, commands = run([*stories.to_building(), stories.built(of=CHAMPION_MODEL)])

    assert (state.state, commands) == (State.BUILDING, [])


def test_a_proposal_goes_straight_to_loading() -> None:
    state, commands = run([stories.requested(stories.proposing(TERSE))])

    assert state.state is State.LOADING
    assert commands[1:] == [Expose(TERSE, Role.SHADOW, 0.5)]
    assert not any(isinstance(each, RequestDataset) for each in commands)


def proposal(release: object = TERSE) -> list[CampaignEvent]:
    begun = stories.proposing(release)  # type: ignore[arg-type]
    return [
        stories.requested(begun),
        stories.loaded(release=begun.proposed or TERSE),
        *stories.to_last_stage()[5:],
    ]


def test_a_proposal_is_promoted_by_the_same_evidence() -> None:
    waiting, _ = run(proposal())
    state, commands = run([*proposal(), stories.better()])

    assert (waiting.state, waiting.share) == (State.CANARY, 0.5)
    assert (state.state, commands[1:]) == (State.PROMOTED, [Crown(TERSE)])


def test_a_proposal_that_harms_is_rolled_back() -> None:
    harm = stories.observed(share=0.5, champion_answered=99, scored=60, log_e_rollback=3.1)

    state, commands = run([*proposal(API), harm])

    assert (state.state, commands[1:]) == (State.ROLLED_BACK, [Withdraw()])


def test_a_provider_without_harm_to_the_end_of_its_canary_is_approved() -> None:
    tired = stories.observed(share=0.5, champion_answered=900, scored=600)

    state, commands = run([*proposal(API), tired])

    assert state.outcome_reason.startswith("futile")
    assert commands[1:] == [Withdraw(), Approve(API.engine.provider or Provider())]


def test_what_cannot_be_made_fails_with_its_reason() -> None:
    begun = replace(stories.start(), unmet="prompt_version 9: no such version")

    state, commands = run([stories.requested(begun)])

    assert (state.state, state.outcome_reason) == (State.FAILED, begun.unmet)
    assert [type(each) for each in commands] == [Transition]


def rebuild() -> list[CampaignEvent]:
    model = replace(CHAMPION_MODEL, engine=None)
    begun = stories.proposing(CHAMPION, rebuilt=model, held_out=FILE)
    return [stories.requested(begun), stories.built(of=CHAMPION_MODEL)]


def test_a_rebuilt_engine_is_another_release_of_the_same_model() -> None:
    building, asked = run(rebuild()[:1])
    state, commands = run(rebuild())

    assert building.state is State.BUILDING
    assert isinstance(asked[1], RequestEngine)
    assert (asked[1].model.digest, asked[1].model.engine) == (CHAMPION.model_digest, None)
    assert state.state is State.LOADING
    assert commands[1:] == [Expose(with_engine(CHAMPION, BUILT), Role.SHADOW, 0.5)]


def upgrade(built: Engine = BUILT, passed: bool = True) -> list[CampaignEvent]:
    """Of a champion whose engine is in f16, while the declaration wants q8_0."""
    champion = with_engine(CHAMPION, OLD)
    begun = stories.proposing(champion, champion=champion, rebuilt=CHAMPION_MODEL, held_out=FILE)
    request = replace(stories.requested(begun), kind=UPGRADE)
    return [request, replace(stories.built(passed, of=CHAMPION_MODEL), engine=built)]


def test_an_upgrade_builds_what_the_champion_has_and_not_what_is_declared() -> None:
    state, (_, asked) = run(upgrade()[:1])

    assert state.state is State.BUILDING
    assert isinstance(asked, RequestEngine)
    assert (asked.policy.runtime, asked.policy.precision) == ("openvino-genai", "f16")
    assert asked.policy.max_loss_difference == 0.03


def test_an_upgrade_takes_over_after_its_shadow_and_is_no_canary() -> None:
    release = with_engine(CHAMPION, BUILT)

    shadow, _ = run([*upgrade(), stories.loaded(release=release)])
    state, commands = run([*upgrade(), stories.loaded(release=release), stories.shadowed()])

    assert shadow.state is State.SHADOW
    assert (state.state, state.tested) == (State.PROMOTED, False)
    assert commands[1:] == [Crown(release)]


def test_an_upgrade_whose_engine_strays_leaves_the_champion() -> None:
    state, commands = run(upgrade(passed=False))

    assert state.state is State.REJECTED
    assert [type(each) for each in commands] == [Transition]


def test_an_upgrade_whose_engine_fails_in_its_shadow_leaves_the_champion() -> None:
    loaded = stories.loaded(release=with_engine(CHAMPION, BUILT))

    state, commands = run([*upgrade(), loaded, stories.shadowed(answered=2, failed=3)])

    assert (state.state, commands[1:]) == (State.REJECTED, [Withdraw()])


def test_an_upgrade_waits_for_a_review_where_promotions_do() -> None:
    events = upgrade()
    assert isinstance(events[0], Requested)
    reviewed = stories.with_rollout(replace(APPLICATION.rollout, review=True))
    events[0] = replace(events[0], start=replace(events[0].start, application=reviewed))
    events += [stories.loaded(release=with_engine(CHAMPION, BUILT)), stories.shadowed()]

    waiting, _ = run(events)
    state, _ = run([*events, stories.acted(Action.APPROVE)])

    assert (waiting.state, waiting.awaiting_approval) == (State.SHADOW, True)
    assert state.state is State.PROMOTED


def test_the_same_engine_again_is_no_upgrade() -> None:
    state, _ = run(upgrade(built=OLD))

    assert state.state is State.FAILED
    assert state.outcome_reason == "the builder still has openvino-genai 1"


def superseded(kind: str) -> Superseded:
    return Superseded(stories.cause(), CAMPAIGN, "c-2", kind)


@pytest.mark.parametrize(
    ("events", "on_the_table"),
    [
        (upgrade()[:1], []),
        (upgrade(), [Withdraw()]),
        ([*upgrade(), stories.loaded(release=with_engine(CHAMPION, BUILT))], [Withdraw()]),
    ],
    ids=["building", "loading", "shadow"],
)
def test_an_upgrade_gives_way_to_another_campaign(
    events: list[CampaignEvent], on_the_table: list[Withdraw]
) -> None:
    state, commands = run([*events, superseded("retraining")])

    assert (state.state, state.tested) == (State.SUPERSEDED, False)
    assert state.outcome_reason == "gave way to campaign c-2"
    assert commands[1:] == on_the_table


def test_an_upgrade_does_not_give_way_to_another_upgrade() -> None:
    state, commands = run([*upgrade(), superseded(UPGRADE)])

    assert (state.state, commands) == (State.LOADING, [])


def test_no_other_campaign_gives_way() -> None:
    state, commands = run([*proposal(), superseded("retraining")])

    assert (state.state, commands) == (State.CANARY, [])


STORIES = {
    "built": [
        *stories.to_building(),
        stories.built(),
        stories.loaded(release=RELEASE),
        *stories.to_last_stage()[5:],
        stories.better(),
    ],
    "proposal": [*proposal(), stories.better()],
    "upgrade": [
        *upgrade(),
        stories.loaded(release=with_engine(CHAMPION, BUILT)),
        stories.shadowed(),
    ],
    "rebuilt": [*rebuild(), stories.loaded(release=with_engine(CHAMPION, BUILT))],
    "gave way": [*upgrade(), superseded("operator")],
}


@PATIENT
@given(st.sampled_from(sorted(STORIES)), st.data())
def test_any_order_replays_by_the_recorded_order_of_inputs(name: str, data: st.DataObject) -> None:
    events = data.draw(st.lists(st.sampled_from(STORIES[name]), max_size=24))

    state, order = live(events)
    known = [event for event in events if event.cause.event_id in order]
    replayed = replay(CAMPAIGN, known, order)

    assert state_sha256(replayed.state) == state_sha256(state)


@PATIENT
@given(st.sampled_from(sorted(STORIES)), st.data())
def test_repeats_change_nothing_and_a_release_is_only_served_built(
    name: str, data: st.DataObject
) -> None:
    state = Campaign(CAMPAIGN)
    for event in data.draw(st.lists(st.sampled_from(STORIES[name]), max_size=24)):
        state, commands = step(state, event)
        again, silent = step(state, event)

        assert (again, silent) == (state, ())
        for command in commands:
            if isinstance(command, Expose):
                assert command.release.engine.digest


def test_the_stories_come_to_their_ends() -> None:
    ends = {name: replay(CAMPAIGN, told).state.state for name, told in STORIES.items()}

    assert ends == {
        "built": State.PROMOTED,
        "proposal": State.PROMOTED,
        "upgrade": State.PROMOTED,
        "rebuilt": State.SHADOW,
        "gave way": State.SUPERSEDED,
    }
