"""Engines from topic to topic: built for a candidate, rebuilt, moved to another runtime."""

import math

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
from libs.faults import Poison
from protos.monitor.v1.monitor_events_pb2 import RetrainingTriggered
from protos.registry.v1 import registry_events_pb2 as pb
from protos.training.v1.training_events_pb2 import EngineStale
from services.registry.domain.values import Application, Prompt
from services.registry.handlers.requests import ask_for_upgrade
from services.registry.ports import Cut, KeptEngine
from tests.unit.services.registry import traffic
from tests.unit.services.registry.flow import BRIEF, Registry, champion
from tests.unit.services.registry.traffic import promote, try_out


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
