import math

import pytest

from libs.faults import Poison
from protos.common.v1.common_pb2 import Decoding, ModelVersion
from protos.registry.v1.application_pb2 import Gate as GateMessage
from protos.registry.v1.registry_events_pb2 import CandidateRegistered
from services.evaluation import wire
from services.evaluation.domain.comparison import RowScore
from services.evaluation.domain.gate import Gate
from tests.unit.services.evaluation.fakes import artifact, candidate_registered


def test_absent_knobs_get_their_defaults() -> None:
    event = CandidateRegistered(
        campaign_id="c",
        application="bank",
        candidate=ModelVersion(digest="d", base_digest="b", merged=artifact()),
        held_out=artifact(),
    )

    task = wire.task(event)

    assert task.gate == Gate(worse_margin=0.08, least_gain=0.10)
    assert (task.generated_rows, task.max_tokens) == (24, 48)
    assert task.reference.digest == "b"
    assert task.reference.weights is None


def test_no_request_makes_the_bench_write_for_ever() -> None:
    event = candidate_registered(decoding=Decoding(max_tokens=10**9))
    event.gate.generated_rows = 10**9

    task = wire.task(event)

    assert (task.generated_rows, task.max_tokens) == (500, 1024)


@pytest.mark.parametrize("margin", [-0.1, math.nan, math.inf])
def test_a_gate_that_is_no_gate_is_refused(margin: float) -> None:
    event = candidate_registered(gate=GateMessage(worse_margin=margin))

    with pytest.raises(Poison) as caught:
        wire.task(event)

    assert caught.value.code == "bad_gate"


def test_scores_come_back_as_they_were_dumped() -> None:
    scores = [RowScore("r", "bank", {"answer_loss": 1.5, "bleu": 0.25}, "an answer")]

    assert wire.load_scores(wire.dump_scores(scores)) == scores


@pytest.mark.parametrize("data", [b"[", b"[1]", b'[{"record": 1}]'])
def test_damaged_scores_are_refused(data: bytes) -> None:
    with pytest.raises(Poison):
        wire.load_scores(data)
