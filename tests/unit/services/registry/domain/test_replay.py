"""Replays agree with what was lived through, whatever the deliveries did."""

from hypothesis import given, settings
from hypothesis import strategies as st

from services.registry.domain.campaign import Campaign, State
from services.registry.domain.canonical import dumps, loads
from services.registry.domain.events import Action, CampaignEvent
from services.registry.domain.replay import replay, state_sha256
from services.registry.domain.step import step
from tests.unit.services.registry import stories
from tests.unit.services.registry.stories import CAMPAIGN

STORY: list[CampaignEvent] = [
    *stories.to_last_stage(),
    stories.acted(Action.PAUSE),
    stories.observed(share=0.5, champion_answered=100, scored=50),
    stories.acted(Action.RESUME),
    stories.loaded(),
    stories.better(),
]

PATIENT = settings(deadline=None)
"""A busy machine is not a failure."""


@st.composite
def deliveries(draw: st.DrawFn) -> list[CampaignEvent]:
    """A beginning of the story with repeats of earlier events thrown in, late by any delay."""
    told = STORY[: draw(st.integers(0, len(STORY)))]
    delivered: list[CampaignEvent] = []
    for event in told:
        delivered.append(event)
        delivered += draw(st.lists(st.sampled_from(delivered), max_size=3))
    return delivered


@st.composite
def disorder(draw: st.DrawFn) -> list[CampaignEvent]:
    """Any events of the story in any order: what no broker would do."""
    return draw(st.lists(st.sampled_from(STORY), max_size=30))


def live(events: list[CampaignEvent]) -> tuple[Campaign, list[str]]:
    """The state, and the ids of the events that changed it, in order."""
    state, order = Campaign(CAMPAIGN), []
    for event in events:
        after, _ = step(state, event)
        if after != state:
            order.append(event.cause.event_id)
        state = after
    return state, order


@PATIENT
@given(deliveries())
def test_repeated_and_late_deliveries_replay_by_event_id_alone(
    events: list[CampaignEvent],
) -> None:
    state, _ = live(events)

    replayed = replay(CAMPAIGN, reversed(events))

    assert replayed.state == state


@PATIENT
@given(disorder())
def test_any_order_replays_by_the_recorded_order_of_inputs(events: list[CampaignEvent]) -> None:
    state, order = live(events)
    known = [event for event in events if event.cause.event_id in order]

    replayed = replay(CAMPAIGN, known, order)

    assert state_sha256(replayed.state) == state_sha256(state)


@PATIENT
@given(disorder())
def test_the_step_is_deterministic_and_repeats_change_nothing(
    events: list[CampaignEvent],
) -> None:
    once = Campaign(CAMPAIGN)
    twice = Campaign(CAMPAIGN)
    for event in events:
        once, commands = step(once, event)
        after, again = step(twice, event)
        assert again == commands
        twice, silent = step(after, event)
        assert (twice, silent) == (after, ())

    assert state_sha256(once) == state_sha256(twice)


@PATIENT
@given(disorder())
def test_nothing_follows_an_end(events: list[CampaignEvent]) -> None:
    ended, _ = live(STORY)

    for event in events:
        state, commands = step(ended, event)
        assert (state, commands) == (ended, ())


@PATIENT
@given(deliveries())
def test_a_stored_state_goes_on_as_if_it_had_stayed_in_memory(
    events: list[CampaignEvent],
) -> None:
    state, stored = Campaign(CAMPAIGN), Campaign(CAMPAIGN)

    for event in events:
        state, _ = step(state, event)
        stored, _ = step(loads(Campaign, dumps(stored)), event)

    assert stored == state


def test_the_whole_story_ends_in_a_promotion() -> None:
    replayed = replay(CAMPAIGN, STORY)

    assert replayed.state.state is State.PROMOTED
    assert [each.sequence for each in replayed.transitions] == list(
        range(1, len(replayed.transitions) + 1)
    )
