"""What is typed behind `perennial campaign start`, as a proposal."""

import pytest

from libs.faults import Poison
from protos.common.v1.common_pb2 import Decoding
from services.cli.proposals import Wanted, changed, proposal

CHAMPION = Decoding(max_tokens=48, top_p=1.0, temperature=0.7)


def test_without_a_wish_a_model_is_trained() -> None:
    assert proposal(Wanted(), pytest.fail) is None


def test_what_is_not_wished_stays_as_the_champion_has_it() -> None:
    made = proposal(Wanted(prompt=3, provider="backup"), pytest.fail)

    assert made is not None
    assert (made.prompt_version, made.provider.name, made.HasField("decoding")) == (
        3,
        "backup",
        False,
    )


def test_one_parameter_is_changed_and_the_others_are_the_champions() -> None:
    made = proposal(Wanted(decoding=("temperature=0", "top_k=40")), lambda: CHAMPION)

    assert made is not None
    assert made.decoding == Decoding(max_tokens=48, top_p=1.0, top_k=40)


@pytest.mark.parametrize("typed", ["temperature", "heat=1", "temperature=warm", "=1"])
def test_a_parameter_that_is_none_is_refused(typed: str) -> None:
    with pytest.raises(Poison, match="decoding"):
        changed(CHAMPION, [typed])
