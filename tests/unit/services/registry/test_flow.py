"""Campaigns from topic to topic, over the SQL store and its outbox."""

import pytest

from libs.events.topics import (
    APPLICATION_APPLIED,
    CAMPAIGN_REQUESTED,
    CAMPAIGN_TRANSITIONED,
    CANARY_EVIDENCE,
    CANDIDATE_REGISTERED,
    DATASET_REQUESTED,
    EVALUATION_COMPLETED,
    RETRAINING_TRIGGERED,
    ROUTING,
    TRAINING_COMPLETED,
    TRAINING_REQUESTED,
)
from libs.faults import Poison
from protos.common.v1.common_pb2 import Engine, ModelVersion
from protos.monitor.v1.monitor_events_pb2 import (
    ROLLOUT_PHASE_CANARY,
    CanaryEvidence,
    RetrainingTriggered,
)
from protos.preprocessing.v1.preprocessing_events_pb2 import DatasetRequested
from protos.registry.v1 import registry_events_pb2 as pb
from protos.training.v1.training_events_pb2 import TrainingCompleted
from services.registry.domain.values import Application
from services.registry.handlers.lineage import trace
from tests.unit.services.registry import traffic
from tests.unit.services.registry.flow import Registry, routes_of


def trigger(registry: Registry, campaign_id: str) -> None:
    registry.tell(
        RETRAINING_TRIGGERED,
        RetrainingTriggered(
            campaign_id=campaign_id, application="bank", reason="drift", new_rows=240
        ),
    )


def test_an_application_begins_with_its_policy_and_an_empty_table(registry: Registry) -> None:
    applied = registry.last(APPLICATION_APPLIED)

    assert (applied.revision, applied.application.rollout.shadow_requests) == (1, 20)
    assert registry.last(ROUTING).version == 1


def test_applying_the_same_again_changes_nothing(registry: Registry) -> None:
    again = registry.desk.apply(Application(name="bank"))

    registry.settle()
    assert again == (1, False)
    assert len(registry.broker.events(APPLICATION_APPLIED)) == 1


def test_the_first_release_becomes_champion_when_its_engine_answers(registry: Registry) -> None:
    campaign_id = registry.start()

    traffic.prepare(registry)
    traffic.train(registry, "m1")
    assert not registry.last(CANDIDATE_REGISTERED).HasField("reference")
    traffic.evaluate(registry)
    assert routes_of(registry.last(ROUTING)) == [("m1", pb.ROLE_SHADOW, 0.0)]
    traffic.load(registry)

    assert registry.state(campaign_id) == "promoted"
    assert routes_of(registry.last(ROUTING)) == [("m1", pb.ROLE_CHAMPION, 1.0)]


def test_a_triggered_campaign_goes_through_shadow_and_canary_to_promotion(
    registry: Registry,
) -> None:
    traffic.crown_first(registry)

    trigger(registry, "c-drift")
    traffic.to_canary(registry)
    assert registry.last(CANDIDATE_REGISTERED).reference.digest == "m1"
    for answered in (20, 60):
        traffic.canary(registry, answered)
    shares = [route.share for table in registry.broker.events(ROUTING) for route in table.routes]
    traffic.canary(registry, 120, promote=4.9)

    assert registry.state("c-drift") == "promoted"
    assert shares[-2:] == [0.5, 0.5]
    assert routes_of(registry.last(ROUTING)) == [("m2", pb.ROLE_CHAMPION, 1.0)]


def test_a_rollback_is_one_routing_event_without_the_candidate(registry: Registry) -> None:
    traffic.crown_first(registry)
    campaign_id = registry.start(override_reason="drill")
    traffic.to_canary(registry)
    before = len(registry.broker.events(ROUTING))

    traffic.canary(registry, 15, harm=3.2)

    assert registry.state(campaign_id) == "rolled_back"
    assert len(registry.broker.events(ROUTING)) == before + 1
    assert routes_of(registry.last(ROUTING)) == [("m1", pb.ROLE_CHAMPION, 1.0)]


def test_routing_versions_only_grow(registry: Registry) -> None:
    traffic.crown_first(registry)
    registry.desk.create_key("bank")
    trigger(registry, "c-drift")
    traffic.to_canary(registry)

    versions = [table.version for table in registry.broker.events(ROUTING)]

    assert versions == list(range(1, len(versions) + 1))


def test_every_transition_names_its_cause_and_its_policy(registry: Registry) -> None:
    traffic.crown_first(registry)

    transitions = registry.broker.events(CAMPAIGN_TRANSITIONED)

    assert [each.to_state for each in transitions] == [
        "preparing",
        "training",
        "evaluating",
        "loading",
        "promoted",
    ]
    assert [each.sequence for each in transitions] == [1, 2, 3, 4, 5]
    assert all(each.cause_event_id and each.policy_revision == 1 for each in transitions)
    assert transitions[0].cause_topic == CAMPAIGN_REQUESTED.name
    assert transitions[3].evidence[0].name == "bank.answer_loss"


def test_everything_delivered_twice_gives_the_same_events_once(registry: Registry) -> None:
    traffic.crown_first(registry)
    trigger(registry, "c-drift")
    traffic.to_canary(registry)
    counts = {name: len(log) for name, log in registry.broker.logs.items()}

    registry.broker.committed.clear()
    registry.restart()
    registry.settle()

    assert {name: len(log) for name, log in registry.broker.logs.items()} == counts


def test_a_trigger_during_a_campaign_ends_as_failed_and_the_other_goes_on(
    registry: Registry,
) -> None:
    first = registry.start()

    trigger(registry, "c-drift")
    traffic.prepare(registry)

    assert registry.state("c-drift") == "failed"
    assert registry.state(first) == "training"


def test_a_second_request_is_refused_at_the_door(registry: Registry) -> None:
    first = registry.start()

    with pytest.raises(Poison, match=f"campaign {first} is active"):
        registry.start()


def test_the_second_canary_gets_its_own_part_of_the_error_budget(registry: Registry) -> None:
    traffic.crown_first(registry)
    trigger(registry, "c-1")
    traffic.to_canary(registry)
    for answered in (20, 60):
        traffic.canary(registry, answered)
    traffic.canary(registry, 120, promote=4.9)

    trigger(registry, "c-2")

    start = registry.last(CAMPAIGN_TRANSITIONED).start
    assert (start.ordinal, start.promotions) == (2, 1)


def test_a_campaign_for_nobodys_application_is_dead_lettered(registry: Registry) -> None:
    registry.tell(CAMPAIGN_REQUESTED, pb.CampaignRequested(campaign_id="c-9", application="nobody"))

    assert len(registry.broker.logs[CAMPAIGN_REQUESTED.dead_letters]) == 1


def test_evidence_that_is_no_number_is_dead_lettered(registry: Registry) -> None:
    traffic.crown_first(registry)
    trigger(registry, "c-drift")
    traffic.to_canary(registry)

    registry.tell(
        CANARY_EVIDENCE,
        CanaryEvidence(
            campaign_id="c-drift",
            application="bank",
            phase=ROLLOUT_PHASE_CANARY,
            log_e_promote=float("inf"),
        ),
    )

    assert registry.state("c-drift") == "canary"
    assert len(registry.broker.logs[CANARY_EVIDENCE.dead_letters]) == 1


def test_an_untrained_model_is_dead_lettered(registry: Registry) -> None:
    campaign_id = registry.start()
    traffic.prepare(registry)

    registry.tell(
        TRAINING_COMPLETED, TrainingCompleted(campaign_id=campaign_id, application="bank")
    )

    assert registry.state(campaign_id) == "training"
    assert len(registry.broker.logs[TRAINING_COMPLETED.dead_letters]) == 1


def test_runs_that_no_campaign_asked_for_are_left_alone(registry: Registry) -> None:
    registry.tell(
        TRAINING_COMPLETED,
        TrainingCompleted(
            campaign_id="by-hand",
            application="bank",
            model=ModelVersion(digest="m", engine=Engine(digest="e")),
        ),
    )

    assert not registry.broker.logs[TRAINING_COMPLETED.dead_letters]
    assert not registry.broker.events(TRAINING_REQUESTED)


def test_state_and_events_are_kept_together_or_not_at_all(registry: Registry) -> None:
    def crash() -> None:
        with registry.store.write("bank") as work:
            work.send(DATASET_REQUESTED, DatasetRequested(campaign_id="c", application="bank"))
            work.add_key("a" * 64)
            raise RuntimeError("crash")

    with pytest.raises(RuntimeError):
        crash()

    registry.settle()
    with registry.store.write("bank") as work:
        assert work.keys() == ()
    assert registry.broker.events(DATASET_REQUESTED) == []


def test_a_release_is_traced_to_its_dataset(registry: Registry) -> None:
    campaign_id = traffic.crown_first(registry)
    digest = registry.last(ROUTING).routes[0].release.digest

    lineage = trace(registry.catalogue, digest)

    assert lineage.model.digest == "m1"
    assert lineage.dataset.dataset_digest == "d1"
    assert lineage.dataset.manifest.uri == "s3://perennial/sha256/aa"
    assert lineage.campaign_id == campaign_id


def test_a_replay_from_the_topics_agrees(registry: Registry) -> None:
    first = traffic.crown_first(registry)
    trigger(registry, "c-drift")
    traffic.to_canary(registry)
    for answered in (10, 20, 30, 60):
        traffic.canary(registry, answered)
    running = registry.replay("c-drift")
    traffic.canary(registry, 120, promote=4.9)

    answers = [registry.replay(first), running, registry.replay("c-drift")]

    assert [list(answer.differences) for answer in answers] == [[], [], []]
    assert all(answer.agrees for answer in answers)
    assert answers[2].events_read == 11


def test_a_transition_names_only_the_newest_of_the_evidence_before_it(
    registry: Registry,
) -> None:
    traffic.crown_first(registry)
    trigger(registry, "c-drift")
    traffic.to_canary(registry)

    for answered in (5, 10, 15, 20):
        traffic.canary(registry, answered)

    grown = registry.last(CAMPAIGN_TRANSITIONED)
    assert grown.share == 0.25
    assert list(grown.input_event_ids) == [grown.cause_event_id]


def test_a_replay_sees_a_record_that_was_tampered_with(registry: Registry) -> None:
    first = traffic.crown_first(registry)
    log = registry.broker.logs[EVALUATION_COMPLETED.name]
    log.clear()

    answer = registry.replay(first)

    assert not answer.agrees
    assert any(line.startswith("state: recorded promoted") for line in answer.differences)
