"""Engines, prompts, proposals and fallbacks from topic to topic, over the SQL store."""

import math
from dataclasses import replace
from pathlib import Path

import pytest

from libs.events.topics import (
    APPLICATION_APPLIED,
    CAMPAIGN_REQUESTED,
    CANDIDATE_REGISTERED,
    ENGINE_REQUESTED,
    ENGINE_STALE,
    OPERATOR_ACTED,
    RETRAINING_TRIGGERED,
    ROUTING,
    TRAINING_REQUESTED,
)
from libs.faults import NOT_FOUND, Poison
from protos.common.v1 import common_pb2 as common
from protos.monitor.v1.monitor_events_pb2 import RetrainingTriggered
from protos.registry.v1 import registry_events_pb2 as pb
from protos.training.v1.training_events_pb2 import EngineStale
from services.registry.domain.policies import Provider, Serving
from services.registry.domain.values import Application, Prompt
from services.registry.handlers.lineage import trace
from services.registry.handlers.requests import ask_for_upgrade
from services.registry.ports import Cut, KeptEngine
from tests.unit.services.registry import traffic
from tests.unit.services.registry.flow import Registry, registry_at, routes_of

BRIEF = "Briefly: {{ question }}"
BACKUP = Provider("backup", "https://api.example.com/v1", "small-1")


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    return registry_at(tmp_path)


@pytest.fixture
def served(registry: Registry) -> Registry:
    """With the model ``m1`` as champion, and a fallback declared."""
    registry.desk.apply(Application(name="bank", serving=Serving(fallbacks=(BACKUP,))))
    traffic.crown_first(registry)
    return registry


def try_out(registry: Registry, **proposal: object) -> str:
    """A campaign of a proposal, up to its last stage."""
    campaign_id = registry.start(proposal=pb.Proposal(**proposal))  # type: ignore[arg-type]
    traffic.load(registry)
    traffic.shadow(registry)
    for answered in (20, 60):
        traffic.canary(registry, answered)
    return campaign_id


def promote(registry: Registry) -> None:
    traffic.canary(registry, 120, promote=4.9)


def champion(registry: Registry) -> pb.Release:
    return registry.last(ROUTING).routes[0].release


def engines(registry: Registry) -> tuple[KeptEngine, ...]:
    return registry.catalogue.engines("bank", Cut(50, "")).items


def test_an_engine_is_built_for_a_candidate_that_passed_and_served_in_its_release(
    registry: Registry,
) -> None:
    campaign_id = registry.start()
    traffic.prepare(registry)
    traffic.train(registry, "m1", with_engine=False)
    assert not registry.last(CANDIDATE_REGISTERED).candidate.HasField("engine")
    assert registry.broker.events(ENGINE_REQUESTED) == []
    traffic.evaluate(registry)

    assert registry.state(campaign_id) == "building"
    asked = registry.last(ENGINE_REQUESTED)
    assert (asked.model.digest, asked.order.precision) == ("m1", "q8_0")
    assert asked.held_out.sha256 == "aa"
    traffic.build(registry)
    traffic.load(registry)

    assert registry.state(campaign_id) == "promoted"
    assert champion(registry).engine.digest == "engine-m1-1"
    assert registry.replay(campaign_id).agrees


def test_an_engine_whose_figures_are_no_numbers_still_ends_its_campaign(
    registry: Registry,
) -> None:
    campaign_id = registry.start()
    traffic.prepare(registry)
    traffic.train(registry, "m1", with_engine=False)
    traffic.evaluate(registry)

    traffic.build(registry, passed=False, upper=math.inf)

    assert registry.state(campaign_id) == "rejected"
    assert registry.replay(campaign_id).agrees


def test_an_engine_of_an_older_runtime_is_stale(registry: Registry) -> None:
    registry.start()
    traffic.prepare(registry)
    traffic.train(registry, "m1", with_engine=False)
    traffic.evaluate(registry)
    traffic.build(registry)
    fresh = engines(registry)

    registry.tell(
        ENGINE_STALE,
        EngineStale(application="bank", runtime="test", built_version="1", current_version="2"),
    )

    assert [each.current_version for each in fresh] == ["1"]
    assert [each.current_version for each in engines(registry)] == ["2"]


def test_a_rebuilt_engine_takes_over_through_the_same_gates(served: Registry) -> None:
    campaign_id = served.start(proposal=pb.Proposal(rebuild=True))
    assert served.last(ENGINE_REQUESTED).model.digest == "m1"
    traffic.build(served, version="2")
    traffic.load(served)
    traffic.shadow(served)
    for answered in (20, 60):
        traffic.canary(served, answered)
    promote(served)

    assert served.state(campaign_id) == "promoted"
    assert champion(served).engine.runtime_version == "2"
    assert len(served.broker.events(TRAINING_REQUESTED)) == 1
    assert served.replay(campaign_id).agrees


def move_runtime(registry: Registry, to: str, *, event_id: str | None = None) -> None:
    """The trainer has another version of the runtime than the champion's engine."""
    told = EngineStale(
        application="bank",
        engine_digest=champion(registry).engine.digest,
        runtime="test",
        built_version="1",
        current_version=to,
    )
    registry.tell(ENGINE_STALE, told, event_id=event_id)


def campaigns(registry: Registry) -> list[tuple[str, str]]:
    """Kind and state, oldest first."""
    kept = registry.catalogue.campaigns("bank", Cut(50, "")).items
    return [(each.state.kind, each.state.state.value) for each in reversed(kept)]


def test_a_stale_champion_serves_until_its_engine_for_the_new_runtime_has_proved_itself(
    served: Registry,
) -> None:
    served.desk.apply(Application(name="bank", prompt_template=BRIEF))

    move_runtime(served, to="2")
    old = champion(served).engine.runtime_version
    traffic.build(served, version="2")
    traffic.load(served)
    waiting = champion(served).engine.runtime_version
    traffic.shadow(served)

    assert (old, waiting, champion(served).engine.runtime_version) == ("1", "1", "2")
    assert campaigns(served) == [("operator", "promoted"), ("upgrade", "promoted")]
    assert served.last(APPLICATION_APPLIED).application.prompt_template == BRIEF
    assert len(served.broker.events(TRAINING_REQUESTED)) == 1
    upgraded = served.last(CAMPAIGN_REQUESTED)
    assert upgraded.reason == "test 1 became 2"
    assert served.replay(upgraded.campaign_id).agrees


def test_an_upgrade_that_fails_its_gate_leaves_the_old_engine_and_is_not_tried_again(
    served: Registry,
) -> None:
    move_runtime(served, to="2")
    traffic.build(served, version="2", passed=False)
    before = len(served.broker.events(CAMPAIGN_REQUESTED))
    move_runtime(served, to="2", event_id="again")

    assert len(served.broker.events(CAMPAIGN_REQUESTED)) == before
    assert campaigns(served)[1:] == [("upgrade", "rejected")]
    assert champion(served).engine.runtime_version == "1"
    assert {each.built.passed: each.current_version for each in engines(served)} == {False: "2"}

    move_runtime(served, to="3")
    assert campaigns(served)[2:] == [("upgrade", "building")]


def test_a_runtime_that_moves_during_a_campaign_is_followed_when_that_has_ended(
    served: Registry,
) -> None:
    served.library.create_prompt("bank", Prompt(template=BRIEF), "Ada")
    try_out(served, prompt_version=2)

    move_runtime(served, to="2")
    meanwhile = campaigns(served)[1:]
    promote(served)

    assert meanwhile == [("proposal", "canary")]
    assert campaigns(served)[1:] == [("proposal", "promoted"), ("upgrade", "building")]
    assert served.last(ENGINE_REQUESTED).campaign_id == served.last(CAMPAIGN_REQUESTED).campaign_id


def test_an_upgrade_that_came_second_is_asked_for_again(served: Registry) -> None:
    told = EngineStale(application="bank", runtime="test", built_version="1", current_version="2")
    served.broker.produce(
        CAMPAIGN_REQUESTED, pb.CampaignRequested(campaign_id="c", application="bank")
    )
    served.broker.produce(ENGINE_STALE, told)
    with served.store.write("bank") as work:
        work.shelf.keep_runtime("test", "2")
        ask_for_upgrade(work, "bank", served.clock)
    served.settle()
    active = campaigns(served)

    traffic.prepare(served)
    aborted = pb.OperatorActed(campaign_id="c", application="bank", action=pb.OPERATOR_ACTION_ABORT)
    served.tell(OPERATOR_ACTED, aborted)

    assert sorted(active[1:]) == [("operator", "preparing"), ("upgrade", "failed")]
    assert ("upgrade", "building") in campaigns(served)


def waiting_upgrade(registry: Registry) -> str:
    """One in its shadow, without traffic."""
    move_runtime(registry, to="2")
    traffic.build(registry, version="2")
    traffic.load(registry)
    return registry.last(CAMPAIGN_REQUESTED).campaign_id


def test_an_upgrade_that_waits_for_its_shadow_gives_way_and_is_asked_for_again(
    served: Registry,
) -> None:
    waiting = waiting_upgrade(served)
    before = (served.state(waiting), len(served.last(ROUTING).routes), served.replay(waiting))

    campaign_id = served.start()
    meanwhile = (campaigns(served)[1:], len(served.last(ROUTING).routes))
    served.tell(
        OPERATOR_ACTED,
        pb.OperatorActed(
            campaign_id=campaign_id, application="bank", action=pb.OPERATOR_ACTION_ABORT
        ),
    )

    assert (*before[:2], before[2].agrees) == ("shadow", 2, True)
    assert meanwhile == ([("upgrade", "superseded"), ("operator", "preparing")], 1)
    assert campaigns(served)[2:] == [("operator", "aborted"), ("upgrade", "building")]
    assert list(served.replay(waiting).differences) == []
    assert served.replay(waiting).agrees


def test_an_upgrade_gives_way_to_a_retraining(served: Registry) -> None:
    waiting_upgrade(served)

    event_id = served.tell(
        RETRAINING_TRIGGERED, RetrainingTriggered(application="bank", campaign_id="c-9")
    )
    served.tell(
        RETRAINING_TRIGGERED,
        RetrainingTriggered(application="bank", campaign_id="c-9"),
        event_id=event_id,
    )

    assert campaigns(served)[1:] == [("upgrade", "superseded"), ("retraining", "preparing")]


def test_an_upgrade_stays_where_nothing_could_begin_in_its_place(served: Registry) -> None:
    waiting_upgrade(served)

    with pytest.raises(Poison, match="is active"):
        served.start(proposal=pb.Proposal(upgrade=True))
    served.tell(
        CAMPAIGN_REQUESTED,
        pb.CampaignRequested(
            campaign_id="c-9", application="bank", proposal=pb.Proposal(prompt_version=7)
        ),
    )

    assert campaigns(served)[1:] == [("upgrade", "shadow"), ("proposal", "failed")]


def test_another_prompt_is_tried_without_training_and_its_version_is_served(
    served: Registry,
) -> None:
    made = served.library.create_prompt("bank", Prompt(template=BRIEF), "Ada")
    before = champion(served)

    campaign_id = try_out(served, prompt_version=made.prompt.version)
    promote(served)

    after = champion(served)
    assert served.state(campaign_id) == "promoted"
    assert (before.prompt.version, after.prompt.version) == (1, 2)
    assert (after.prompt_template, after.engine) == (BRIEF, before.engine)
    assert len(served.broker.events(TRAINING_REQUESTED)) == 1
    assert list(served.replay(campaign_id).differences) == []
    assert trace(served.catalogue, after.digest).dataset.dataset_digest == "d1"


def test_a_promoted_prompt_becomes_the_declared_one(served: Registry) -> None:
    served.library.create_prompt("bank", Prompt(template=BRIEF), "Ada")
    try_out(served, prompt_version=2)
    promote(served)

    served.start()
    traffic.prepare(served, "d2")

    assert served.last(APPLICATION_APPLIED).application.prompt_template == BRIEF
    assert served.last(TRAINING_REQUESTED).prompt_template == BRIEF


def test_a_declaration_that_changed_meanwhile_is_left_alone(served: Registry) -> None:
    served.library.create_prompt("bank", Prompt(template=BRIEF), "Ada")
    try_out(served, prompt_version=2)
    served.desk.apply(Application(name="bank", prompt_template="Politely: {{ question }}"))
    promote(served)

    declared = served.last(APPLICATION_APPLIED).application

    assert declared.prompt_template == "Politely: {{ question }}"


def test_other_parameters_are_tried_on_the_same_engine(served: Registry) -> None:
    warmer = common.Decoding(max_tokens=64, temperature=0.7, top_p=0.9)

    campaign_id = try_out(served, decoding=warmer)

    (_, route) = served.last(ROUTING).routes
    assert (route.role, route.share, route.release.model_digest) == (pb.ROLE_CANARY, 0.5, "m1")
    assert route.release.decoding == warmer
    assert served.state(campaign_id) == "canary"


def test_an_earlier_release_can_be_tried_again(served: Registry) -> None:
    first = champion(served).digest
    served.library.create_prompt("bank", Prompt(template=BRIEF), "Ada")
    try_out(served, prompt_version=2)
    promote(served)

    try_out(served, release_digest=first)
    promote(served)

    assert champion(served).digest == first


@pytest.mark.parametrize(
    ("proposal", "why"),
    [
        (pb.Proposal(), "nothing in it differs"),
        (pb.Proposal(prompt_version=9), "prompt_version 9"),
        (pb.Proposal(release_digest="f" * 64), "no such release"),
        (pb.Proposal(decoding=common.Decoding(temperature=9)), r"decoding\.temperature"),
        (pb.Proposal(provider=common.Provider(name="nobody")), r"provider\.name"),
        (pb.Proposal(provider=common.Provider(name="backup"), rebuild=True), "rebuild"),
        (pb.Proposal(upgrade=True, prompt_version=1), "upgrade: goes alone"),
    ],
)
def test_a_proposal_that_cannot_be_made_is_refused_at_the_door(
    served: Registry, proposal: pb.Proposal, why: str
) -> None:
    with pytest.raises(Poison, match=why) as refused:
        served.start(proposal=proposal)

    assert refused.value.code == "bad_proposal"
    assert len(served.broker.events(CAMPAIGN_REQUESTED)) == 1


def test_without_a_champion_only_a_provider_or_a_release_can_be_proposed(
    registry: Registry,
) -> None:
    with pytest.raises(Poison, match="no champion yet"):
        registry.start(proposal=pb.Proposal(prompt_version=1))


def test_a_provider_can_be_the_first_release(registry: Registry) -> None:
    registry.desk.apply(Application(name="bank", serving=Serving(fallbacks=(BACKUP,))))

    campaign_id = registry.start(proposal=pb.Proposal(provider=common.Provider(name="backup")))
    traffic.load(registry)

    table = registry.last(ROUTING)
    assert registry.state(campaign_id) == "promoted"
    assert table.routes[0].release.engine.provider.model == "small-1"
    assert list(table.fallbacks) == []  # it is the champion already
    assert registry.replay(campaign_id).agrees


def test_a_declared_fallback_does_not_answer_before_it_is_approved(served: Registry) -> None:
    table = served.last(ROUTING)

    assert list(table.fallbacks) == []
    assert [approval for _, approval in served.library.providers("bank")] == [None]
    assert table.serving.admission.concurrency == 32
    assert table.currency == "USD"


def test_a_person_may_vouch_for_a_fallback_on_the_record(served: Registry) -> None:
    served.library.approve("bank", "backup", "Ada", "our own gateway")
    served.settle()

    (fallback,) = served.last(ROUTING).fallbacks
    acted = served.last(OPERATOR_ACTED)
    assert (fallback.engine.provider.name, fallback.engine.provider.timeout_s) == ("backup", 30)
    assert fallback.prompt == champion(served).prompt
    assert (acted.provider, acted.operator, acted.reason) == ("backup", "Ada", "our own gateway")
    assert trace(served.catalogue, fallback.digest).release == fallback


def test_a_fallback_follows_the_champions_prompt(served: Registry) -> None:
    served.library.approve("bank", "backup", "Ada", "our own gateway")
    served.library.create_prompt("bank", Prompt(template=BRIEF), "Ada")

    try_out(served, prompt_version=2)
    promote(served)

    assert served.last(ROUTING).fallbacks[0].prompt.version == 2
    versions = [table.version for table in served.broker.events(ROUTING)]
    assert versions == list(range(1, len(versions) + 1))


def test_a_provider_that_came_through_its_canary_without_harm_is_a_fallback(
    served: Registry,
) -> None:
    campaign_id = try_out(served, provider=common.Provider(name="backup"))
    assert served.last(CAMPAIGN_REQUESTED).proposal.provider.model == "small-1"
    traffic.canary(served, 700)

    ((_, approval),) = served.library.providers("bank")
    assert served.state(campaign_id) == "rolled_back"
    assert approval is not None
    assert approval.campaign_id == campaign_id
    assert [each.engine.provider.name for each in served.last(ROUTING).fallbacks] == ["backup"]


def test_a_provider_that_harmed_is_no_fallback(served: Registry) -> None:
    try_out(served, provider=common.Provider(name="backup"))
    traffic.canary(served, 120, harm=3.2)

    assert list(served.last(ROUTING).fallbacks) == []


@pytest.mark.parametrize(
    "other", [replace(BACKUP, model="large-1"), replace(BACKUP, omit=("temperature",))]
)
def test_a_provider_that_answers_otherwise_needs_its_own_approval(
    served: Registry, other: Provider
) -> None:
    served.library.approve("bank", "backup", "Ada", "our own gateway")
    dearer = Provider("backup", BACKUP.base_url, BACKUP.model, 30.0, 9.0, 9.0)

    served.desk.apply(Application(name="bank", serving=Serving(fallbacks=(dearer,))))
    served.settle()
    kept = len(served.last(ROUTING).fallbacks)
    served.desk.apply(Application(name="bank", serving=Serving(fallbacks=(other,))))
    served.settle()

    assert (kept, len(served.last(ROUTING).fallbacks)) == (1, 0)


def test_an_undeclared_provider_cannot_be_approved(served: Registry) -> None:
    with pytest.raises(Poison) as refused:
        served.library.approve("bank", "nobody", "Ada", "because")

    assert refused.value.code == NOT_FOUND


def test_prompts_are_numbered_and_the_same_one_is_the_same_version(registry: Registry) -> None:
    registry.desk.apply(Application(name="bank", prompt_template=BRIEF))
    again = registry.library.create_prompt("bank", Prompt(template=BRIEF), "Ada")
    shorter = Prompt(template=BRIEF, max_characters=100)
    third = registry.library.create_prompt("bank", shorter, "Ada")

    found = registry.catalogue.prompts("bank", Cut(50, "")).items

    assert (again.prompt.version, third.prompt.version) == (2, 3)
    assert [(each.prompt.template, each.created_by) for each in found] == [
        ("", ""),
        (BRIEF, ""),
        (BRIEF, "Ada"),
    ]


def test_variables_are_empty_where_a_model_is_tuned(registry: Registry) -> None:
    toned = "{{ tone }}: {{ question }}"
    registry.desk.apply(Application(name="bank", prompt_template=toned, prompt_variables=("tone",)))

    registry.start()
    traffic.prepare(registry)
    traffic.train(registry, "m1")
    traffic.evaluate(registry)

    assert registry.last(TRAINING_REQUESTED).prompt_template == '{% set tone = "" %}' + toned
    staged = registry.last(ROUTING).routes[-1].release
    assert (staged.prompt_template, list(staged.prompt.variables)) == (toned, ["tone"])


def test_routes_of_a_proposal_leave_the_champion_alone(served: Registry) -> None:
    served.library.create_prompt("bank", Prompt(template=BRIEF), "Ada")
    try_out(served, prompt_version=2)

    traffic.canary(served, 120, harm=3.2)

    assert routes_of(served.last(ROUTING)) == [("m1", pb.ROLE_CHAMPION, 1.0)]
