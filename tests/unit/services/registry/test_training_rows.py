"""Which rows a campaign asks for: all, an operator's alone, those of a drift beside the rest."""

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from libs.events.topics import CAMPAIGN_TRANSITIONED, DATASET_REQUESTED, RETRAINING_TRIGGERED
from libs.faults import Poison
from protos.monitor.v1.monitor_events_pb2 import RetrainingTriggered
from protos.preprocessing.v1.preprocessing_events_pb2 import DatasetQuery, RowFilter
from protos.registry.v1.registry_events_pb2 import Proposal
from tests.unit.services.registry.flow import Registry

SINCE, UNTIL = Timestamp(seconds=1_790_000_000), Timestamp(seconds=1_790_003_600, nanos=500_000_000)


def asked(registry: Registry) -> DatasetQuery:
    return registry.last(DATASET_REQUESTED).query


def test_without_a_wish_a_campaign_trains_on_all_that_is_declared(registry: Registry) -> None:
    registry.start()

    assert not asked(registry).HasField("only")
    assert not asked(registry).HasField("always")


def test_the_rows_of_a_drift_come_beside_those_of_every_campaign(registry: Registry) -> None:
    drift = RetrainingTriggered(
        campaign_id="c-drift",
        application="bank",
        reason="drift",
        new_rows=240,
        rows_since=SINCE,
        rows_until=UNTIL,
        segment="language=de",
    )

    registry.tell(RETRAINING_TRIGGERED, drift)

    assert not asked(registry).HasField("only")
    assert asked(registry).always == RowFilter(since=SINCE, until=UNTIL, segment="language=de")


def test_an_operators_rows_are_asked_for_alone_and_told_with_the_campaign(
    registry: Registry,
) -> None:
    only = RowFilter(since=SINCE, segment="route=loans")

    registry.start(only=only)

    assert asked(registry).only == only
    said = registry.last(CAMPAIGN_TRANSITIONED).reason
    assert said == "requested by Ada, rows since 2026-09-21T14:13:20Z of route=loans alone"


def test_a_time_that_there_is_not_is_refused_at_the_door_and_dead_lettered_behind_it(
    registry: Registry,
) -> None:
    never = Timestamp(seconds=10**15)
    drift = RetrainingTriggered(
        campaign_id="c", application="bank", rows_since=never, rows_until=UNTIL
    )

    with pytest.raises(Poison, match="rows: "):
        registry.start(only=RowFilter(since=never))
    registry.tell(RETRAINING_TRIGGERED, drift)

    assert len(registry.broker.logs[f"{RETRAINING_TRIGGERED.name}.dlq"]) == 1


def test_a_proposal_takes_no_rows(registry: Registry) -> None:
    with pytest.raises(Poison, match="trains and evaluates nothing"):
        registry.start(only=RowFilter(segment="a=b"), proposal=Proposal(rebuild=True))
