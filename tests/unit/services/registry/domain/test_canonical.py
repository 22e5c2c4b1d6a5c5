"""Digests of what was there before a field was are the same with the field."""

from dataclasses import replace

from services.registry.domain.campaign import Campaign, State
from services.registry.domain.canonical import dumps, loads, plain, sha256
from services.registry.domain.events import CampaignEvent, Start
from services.registry.domain.policies import Admission, Serving
from services.registry.domain.releases import release_of
from services.registry.domain.replay import replay, state_sha256
from services.registry.domain.values import (
    Application,
    Decoding,
    Drift,
    Engine,
    Model,
    Prompt,
    Recipe,
    Rollout,
    Stage,
)
from tests.unit.services.registry import stories

# As the first release of the registry stored it: nothing that came later is set.
OLD = Application(
    name="bank",
    prompt_template="Q: {{ question }}",
    decoding=Decoding(max_tokens=48, top_p=1.0),
    recipe=Recipe(epochs=2),
    rollout=Rollout(20, 0.5, (Stage(0.25, 40), Stage(0.5, 0)), 0.05, 0.05, 600),
    drift=Drift(500, 100_000.0, 200, 0.0, 10),
)
ENGINE = Engine(
    "e", "openvino-genai", "2026.4", "q8_0", "cpu", stories.FILE, stories.FILE, "{{ x }}"
)
OLD_MODEL = Model("m", "b", None, stories.FILE, ENGINE, "d")
OLD_RELEASE_SHA256 = "5682502b9a73feb5adf594d7b26e80d9b96fa7415f55f87ed65493d90ee60d5a"
OLD_STATE_SHA256 = "dab7d04daba4aaa82ce80e1424028e58a87ea28cbdb5841fc4d97b6b4d8f6d0d"


def test_an_old_release_keeps_its_digest() -> None:
    assert release_of(OLD, OLD_MODEL).digest == OLD_RELEASE_SHA256


def test_an_old_campaign_replays_to_the_state_that_was_recorded() -> None:
    start = Start(OLD, 3, release_of(OLD, OLD_MODEL), OLD_MODEL, 2, 1, "")
    events: list[CampaignEvent] = [
        stories.requested(start),
        stories.versioned(),
        stories.trained(),
        stories.evaluated(),
        stories.loaded(release=release_of(OLD, stories.CANDIDATE)),
        stories.shadowed(),
    ]
    told = [
        replace(event, cause=replace(event.cause, event_id=f"e-{number}"))
        for number, event in enumerate(events)
    ]

    replayed = replay(stories.CAMPAIGN, told)

    assert replayed.state.state is State.CANARY
    assert state_sha256(replayed.state) == OLD_STATE_SHA256


def test_a_prompts_version_is_part_of_the_release() -> None:
    first, second = (Prompt(version, "Q: {{ question }}", (), 32_768) for version in (1, 2))

    digests = {release_of(OLD, OLD_MODEL, prompt).digest for prompt in (None, first, second)}

    assert len(digests) == 3


def test_a_member_of_a_later_time_is_told_once_it_is_set() -> None:
    busy = replace(OLD, serving=Serving(admission=Admission(concurrency=4)), currency="EUR")

    told = plain(busy)

    assert "engine" not in told
    assert (told["currency"], told["serving"]["admission"]["concurrency"]) == ("EUR", 4)
    assert loads(Application, dumps(busy)) == busy
    assert sha256(busy) != sha256(OLD)


def test_a_state_without_anything_is_what_it_was() -> None:
    assert "built" not in plain(Campaign("c-1"))
