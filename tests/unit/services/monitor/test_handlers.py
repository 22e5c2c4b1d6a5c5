"""The monitor's records on the in-memory broker and a SQLite file: crashes, repeats, poison."""

import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sqlalchemy as sa

from libs.events.topics import (
    BY_NAME,
    CANARY_EVIDENCE,
    CAUSE_ATTRIBUTED,
    DRIFT_DETECTED,
    GENERATION_SERVED,
    PROBE_REQUESTED,
    PROVIDER_PROBED,
    RETRAINING_TRIGGERED,
    TRAINING_COMPLETED,
)
from libs.faults import Fatal
from libs.kafka.memory import MemoryBroker
from libs.sql.engine import connect
from protos.inference.v1.inference_events_pb2 import GenerationServed, ProviderProbed
from protos.monitor.v1.monitor_events_pb2 import ROLLOUT_PHASE_CANARY, ROLLOUT_PHASE_SHADOW
from protos.registry.v1.registry_events_pb2 import ROLE_CANARY, ROLE_CHAMPION, ROLE_SHADOW
from protos.training.v1.training_events_pb2 import TrainingCompleted
from services.monitor.adapters.sql import RELEASES, SqlStates
from services.monitor.handlers import Batch

from .stack import Killed, Stack, counts, drain, drifting, produce, rated
from .traffic import Traffic, served


@pytest.fixture
def stack(tmp_path: Path) -> Stack:
    return Stack(tmp_path / "monitor.db")


def test_a_partition_that_moved_away_and_back_is_folded_from_the_store(stack: Stack) -> None:
    traffic, first, second = Traffic(3), stack.monitor(), stack.monitor()
    for loop in (first, second, first):
        batch: Batch = loop.routes[0].handler.batch  # type: ignore[attr-defined]
        batch.forget()
        produce(stack, [served(traffic) for _ in range(5)])
        drain(loop, 500)

    state = SqlStates(connect(stack.url)).load("support")

    assert state is not None
    assert state.releases["r1"].watch is not None
    assert state.releases["r1"].watch.progress == 15


def test_drift_becomes_one_alarm_and_one_campaign(stack: Stack) -> None:
    drifting(stack)

    drain(stack.monitor(), 500)

    [(alarm_id, alarm)] = stack.outbox(DRIFT_DETECTED)
    [(_, trigger)] = stack.outbox(RETRAINING_TRIGGERED)
    assert (alarm.signal, alarm.cause) == ("prompt_embedding", "input")
    assert 110 < alarm.at_event <= 150
    assert trigger.drift_event_id == alarm_id
    assert trigger.new_rows >= 5


def test_the_same_log_gives_the_same_events_and_state_in_batches_of_any_size(
    tmp_path: Path,
) -> None:
    """An alarm in the middle of a batch is told as if the batch had ended there."""
    log, found, states = MemoryBroker(), [], set()
    drifting(Stack(tmp_path / "none.db", log))

    for size in (500, 100, 17):
        stack = Stack(tmp_path / f"{size}.db", log)
        log.committed.clear()
        drain(stack.monitor(), size)
        found.append(stack.outbox(*BY_NAME.values()))
        with connect(stack.url).connect() as connection:
            states.add(connection.execute(sa.select(RELEASES.c.state)).scalar_one())

    assert len(found[0]) > 2
    assert found[0] == found[1] == found[2]
    assert len(states) == 1


@pytest.mark.parametrize("moment", ["before_store", "after_store"])
def test_killed_in_every_third_batch_it_gives_the_same_alarm_and_campaign(
    tmp_path: Path, moment: str
) -> None:
    calm, stormy = Stack(tmp_path / "calm.db"), Stack(tmp_path / "stormy.db")
    drifting(calm)
    drifting(stormy)
    turns = iter(range(10_000))

    def kill() -> None:
        if next(turns) % 3 == 2:
            raise Killed

    drain(calm.monitor(), 20)
    loop = stormy.monitor(**{moment: kill})
    while True:
        try:
            drain(loop, 20)
            break
        except Killed:
            loop = stormy.monitor(**{moment: kill})

    topics = (DRIFT_DETECTED, RETRAINING_TRIGGERED)
    sent, again = calm.outbox(*topics), stormy.outbox(*topics)
    assert [event_id for event_id, _ in sent] == [event_id for event_id, _ in again]
    assert sent[0][1].statistic == again[0][1].statistic
    assert len(sent) == 2


def test_probes_are_asked_for_and_their_answer_is_the_cause(stack: Stack) -> None:
    traffic = Traffic(3)
    produce(stack, [served(traffic, provider="openai") for _ in range(200)])
    other = [served(traffic, provider="openai") for _ in range(150)]
    for answer in other:
        answer.mean_logprob -= 0.5
    produce(stack, other)
    drain(stack.monitor(), 500)
    [(_, wanted)] = stack.outbox(PROBE_REQUESTED)

    answered = ProviderProbed(
        application="support", drift_event_id=wanted.drift_event_id, probes=40, changed=True
    )
    stack.broker.produce(PROVIDER_PROBED, answered)
    drain(stack.monitor(), 500)

    [(_, told)] = stack.outbox(CAUSE_ATTRIBUTED)
    assert (told.cause, told.drift_event_id) == ("provider", wanted.drift_event_id)


def test_a_run_is_remembered_for_the_price_of_the_next(stack: Stack) -> None:
    stack.broker.produce(TRAINING_COMPLETED, TrainingCompleted(application="support", seconds=90))
    stack.broker.produce(
        TRAINING_COMPLETED, TrainingCompleted(application="support", seconds=float("nan"))
    )

    drain(stack.monitor(), 500)

    state = SqlStates(connect(stack.url)).load("support")
    assert state is not None
    assert [run.seconds for run in state.decision.runs.done] == [90.0]


def test_a_redelivered_log_changes_nothing(stack: Stack) -> None:
    drifting(stack)
    share: dict[str, Any] = {"campaign_id": "c1", "canary_share": 0.5}
    produce(stack, [served(Traffic(9, made=5_000), role=ROLE_CANARY, **share)])
    produce(stack, [rated(1, ROLE_CANARY, 1.0)])
    drain(stack.monitor(), 500)
    before, sent = counts(stack), stack.outbox(*BY_NAME.values())

    stack.broker.committed.clear()
    drain(stack.monitor(), 50)

    assert counts(stack) == before == (361, 1, 1, 3)
    assert stack.outbox(*BY_NAME.values()) == sent


def test_an_answer_that_was_sent_twice_counts_once(stack: Stack) -> None:
    answer = served(Traffic(9), campaign_id="c1", canary_share=0.5)

    produce(stack, [answer, answer])
    drain(stack.monitor(), 500)

    [(_, evidence)] = stack.outbox(CANARY_EVIDENCE)
    assert evidence.champion_answered == 1
    assert counts(stack)[0] == 1


def test_a_new_champion_takes_a_reference_of_its_own(stack: Stack) -> None:
    drifting(stack)
    drain(stack.monitor(), 500)
    stack.crown("r2", 2)
    traffic = Traffic(4, made=1_000)

    produce(stack, [served(traffic, far=True, release_digest="r2") for _ in range(250)])
    produce(stack, [served(traffic, release_digest="r2") for _ in range(40)])
    drain(stack.monitor(), 500)

    alarms = [alarm for _, alarm in stack.outbox(DRIFT_DETECTED)]
    assert [alarm.release_digest for alarm in alarms] == ["r1", "r2"]
    assert alarms[1].at_event > 160


def test_canary_evidence_counts_both_arms_and_their_scores(stack: Stack) -> None:
    traffic = Traffic(5)
    share: dict[str, Any] = {"campaign_id": "c1", "canary_share": 0.5}
    produce(
        stack,
        [
            served(traffic, campaign_id="c1", role=ROLE_SHADOW, release_digest="r2"),
            served(traffic, campaign_id="c1"),
            served(traffic, **share),
            served(traffic, role=ROLE_CANARY, release_digest="r2", **share),
            served(traffic, role=ROLE_CANARY, release_digest="r2", error_code="x", **share),
            rated(1, ROLE_CANARY, 1.0),
            rated(2, ROLE_CHAMPION, 0.0),
        ],
    )

    drain(stack.monitor(), 500)

    (_, shadow), (_, canary) = stack.outbox(CANARY_EVIDENCE)
    assert shadow.phase == ROLLOUT_PHASE_SHADOW
    assert (shadow.candidate_answered, shadow.champion_answered) == (1, 1)
    assert canary.phase == ROLLOUT_PHASE_CANARY
    assert (canary.candidate_answered, canary.candidate_failed) == (1, 1)
    assert (canary.champion_answered, canary.scored) == (1, 2)
    assert (canary.stage_answered, canary.share) == (2, 0.5)
    assert canary.log_e_promote > 0 > canary.log_e_rollback
    assert canary.difference.lower <= canary.difference.estimate


@pytest.mark.parametrize(
    "changes",
    [
        {"latency_s": float("nan")},
        {"mean_logprob": float("inf")},
        {"canary_share": 1.5},
        {"embedding": b"\0"},
        {"embedding": struct.pack("<e", float("nan"))},
        {"application": "No Such Name!"},
    ],
    ids=str,
)
def test_a_bad_answer_is_a_dead_letter_and_the_next_one_counts(
    stack: Stack, changes: dict[str, Any]
) -> None:
    traffic = Traffic(6)
    bad = served(traffic)
    bad.ClearField("embedding")
    bad.MergeFrom(GenerationServed(**changes))
    produce(stack, [bad, served(traffic)])

    drain(stack.monitor(), 500)

    assert len(stack.broker.logs[f"{GENERATION_SERVED.name}.dlq"]) == 1
    state = SqlStates(connect(stack.url)).load("support")
    assert state is not None
    assert state.releases["r1"].windows.minutes[0].answered == 1


def test_two_monitors_of_one_application_cannot_both_store(stack: Stack) -> None:
    traffic = Traffic(7)
    first, second = stack.monitor(), stack.monitor()
    produce(stack, [served(traffic)])
    first.step()
    second.step()
    produce(stack, [served(traffic)])
    first.step()

    with pytest.raises(Fatal, match="another process"):
        second.step()


def test_the_stored_state_is_small_and_its_fit_is_written_once(stack: Stack) -> None:
    traffic = Traffic(8)
    produce(stack, [served(traffic) for _ in range(300)])

    drain(stack.monitor(), 40)

    with connect(stack.url).connect() as connection:
        sizes = connection.execute(sa.text("select length(state), length(fit) from releases")).one()
    assert sizes[0] < 200_000
    assert sizes[1] >= 30 * traffic.centres.shape[1] * np.dtype(np.float32).itemsize
