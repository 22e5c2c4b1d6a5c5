"""An engine of the really trained weights: built, measured beside them, judged."""

from pathlib import Path
from typing import Any

import pytest

from libs.faults import Poison
from services.trainer.adapters.openvino import OpenVinoBuilder, OpenVinoMeter, version_in
from services.trainer.domain.engine import Order
from services.trainer.domain.gate import judge
from services.trainer.ports import Asked, Source
from services.trainer.wire import building
from tests.integration.trainer.conftest import PYTHON

TIMEOUT_S = 300.0


async def test_an_engine_speaks_as_its_weights_do(
    base_model: Path, train: Path, unbroken: dict[str, Any], tmp_path: Path
) -> None:
    builder = OpenVinoBuilder(PYTHON, 2, version_in(PYTHON), TIMEOUT_S)
    meter = OpenVinoMeter(PYTHON, 2, 16, TIMEOUT_S)
    source = Source(Path(unbroken["merged"]), base_model)
    shares: list[float] = []

    built = await builder.build(
        source, builder.target("q8_0"), tmp_path, lambda _, share: shares.append(share)
    )
    engine = built.weights.rename(tmp_path / "engine.bin")
    asked = Asked("Answer briefly: {{ question }}", {"temperature": 0.7, "top_p": 0.9, "seed": 7})
    told = await meter(engine, source, train, asked, tmp_path)

    found = building.measured(told)
    verdict = judge(Order(max_first_token_s=60), found, "seed")
    assert verdict.passed, verdict.reasons
    assert 0 < verdict.difference < 0.08
    assert verdict.agreement > 0.9
    assert [speed.streams for speed in found.speeds] == [1, 4, 8]
    assert verdict.repeated == 16
    assert 0 < verdict.identical <= 1
    assert shares == sorted(shares)
    assert len(shares) > 10


async def test_rows_that_nobody_can_score_are_named(base_model: Path, tmp_path: Path) -> None:
    rows = tmp_path / "rows.parquet"
    rows.write_bytes(b"no rows at all")
    source = Source(base_model / "model.safetensors", base_model)

    with pytest.raises(Poison) as refused:
        await OpenVinoMeter(PYTHON, 2, 16, TIMEOUT_S)(rows, source, rows, Asked("", {}), tmp_path)

    assert refused.value.code == "bad_dataset"
