import asyncio
import json
from pathlib import Path

import pytest

from libs.events.topics import ENGINE_BUILT, ENGINE_FAILED, ENGINE_STALE
from libs.faults import Poison, Retryable
from libs.sql.job import JobState
from protos.training.v1.training_events_pb2 import EngineRequested
from services.trainer.adapters.builds import tell_stale
from services.trainer.handlers.engines import completed
from tests.unit.services.trainer.fakes import ScriptedJob, Trainer, succeeds
from tests.unit.services.trainer.foundry import Foundry, ScriptedBuilder, ScriptedMeter, figures


@pytest.fixture
def foundry(tmp_path: Path) -> Foundry:
    return Foundry(Trainer(tmp_path, ScriptedJob([succeeds])))


async def test_a_built_engine_is_stored_measured_and_announced(foundry: Foundry) -> None:
    foundry.submit(foundry.request())

    await foundry.work()

    [built] = foundry.trainer.events(ENGINE_BUILT)
    assert built.passed
    assert (built.build_id, built.campaign_id, built.application) == (
        "build-1",
        "campaign-1",
        "bank",
    )
    assert built.model_digest == foundry.model.digest
    assert len(built.engine.digest) == 64
    assert foundry.trainer.store.get(built.engine.weights, 100).startswith(b"GGUF q8_0")
    assert built.loss_difference.n == 16
    assert built.loss_difference.lower <= 0.004 <= built.loss_difference.upper
    assert built.greedy_agreement == pytest.approx(31 / 32)
    assert [each.streams for each in built.throughput] == [1, 8]
    assert (built.identical_answers, built.repeated_answers) == (0.75, 16)


async def test_an_engine_is_asked_as_its_release_will_ask_it(foundry: Foundry) -> None:
    request = foundry.request("build-1")
    request.decoding.temperature, request.decoding.seed = 0.7, 11
    foundry.submit(request)
    foundry.submit(foundry.request("build-2"))

    while await foundry.work():
        pass

    sampled, greedy = (asked.decoding for asked in foundry.meter.asked)
    assert (sampled["temperature"], sampled["seed"], sampled["top_p"]) == (0.7, 11, 1.0)
    assert (greedy["temperature"], greedy["seed"]) == (0.0, 1)


async def test_the_report_has_every_row_and_the_log_the_tools_words(foundry: Foundry) -> None:
    foundry.submit(foundry.request())

    await foundry.work()

    [built] = foundry.trainer.events(ENGINE_BUILT)
    report = json.loads(foundry.trainer.store.get(built.report, 1_000_000))
    assert len(report["measured"]["rows"]) == 16
    assert report["verdict"]["passed"] is True
    assert b"the tool's words" in foundry.trainer.store.get(built.log, 1_000_000)
    assert list((foundry.trainer.home / "builds").rglob("*.gguf")) == []


async def test_an_engine_that_strays_from_its_weights_does_not_pass(foundry: Foundry) -> None:
    foundry.meter = ScriptedMeter([figures(loss=0.05)])
    foundry.submit(foundry.request())

    await foundry.work()

    [built] = foundry.trainer.events(ENGINE_BUILT)
    assert not built.passed
    assert "(bound 0.03)" in built.reasons[0]
    assert len(built.reasons) == 1


async def test_an_engine_of_the_same_key_is_not_built_again(foundry: Foundry) -> None:
    foundry.submit(foundry.request("build-1"))
    foundry.submit(foundry.request("build-2"))
    foundry.submit(foundry.request("build-3", precision="f16"))

    while await foundry.work():
        pass

    first, second, other = foundry.trainer.events(ENGINE_BUILT)
    assert foundry.builder.built == ["q8_0", "f16"]
    assert first.engine == second.engine != other.engine
    assert (first.reused, second.reused, other.reused) == (False, True, False)
    assert second.loss_difference == first.loss_difference


async def test_an_engine_of_another_version_of_its_runtime_is_another_one(
    foundry: Foundry,
) -> None:
    foundry.submit(foundry.request("build-1"))
    await foundry.work()
    foundry.builder.version = "2"
    foundry.submit(foundry.request("build-2"))
    await foundry.work()

    first, second = foundry.trainer.events(ENGINE_BUILT)
    assert foundry.builder.built == ["q8_0", "q8_0"]
    assert first.engine.digest != second.engine.digest


async def test_the_attempt_after_a_death_goes_on_from_what_is_built(foundry: Foundry) -> None:
    foundry.meter = ScriptedMeter([Retryable("died with status -9", after_s=1.0), figures()])
    foundry.submit(foundry.request())

    await foundry.work()
    await foundry.work()

    [built] = foundry.trainer.events(ENGINE_BUILT)
    assert foundry.builder.built == ["q8_0"]
    log = foundry.trainer.store.get(built.log, 1_000_000)
    assert log.index(b"died with status -9") < log.index(b"attempt 2")


async def test_an_engine_that_is_gone_from_the_store_is_built_again(foundry: Foundry) -> None:
    foundry.meter = ScriptedMeter([Retryable("died", after_s=1.0), figures()])
    foundry.submit(foundry.request())
    await foundry.work()
    objects = foundry.trainer.store.objects
    for key in [key for key, data in objects.items() if data.startswith(b"GGUF")]:
        del objects[key]

    while await foundry.work():
        pass

    assert foundry.builder.built == ["q8_0", "q8_0"]
    assert len(foundry.trainer.events(ENGINE_BUILT)) == 1


async def test_a_precision_that_nobody_builds_fails_the_build(foundry: Foundry) -> None:
    foundry.submit(foundry.request(precision="q3_k"))

    await foundry.work()

    [failed] = foundry.trainer.events(ENGINE_FAILED)
    assert (failed.code, failed.campaign_id) == ("no_builder", "campaign-1")
    assert b"q3_k" in foundry.trainer.store.get(failed.log, 10_000)


async def test_a_runtime_that_nobody_builds_for_fails_the_build(foundry: Foundry) -> None:
    foundry.submit(foundry.request(runtime="tensorrt-llm"))

    await foundry.work()

    [failed] = foundry.trainer.events(ENGINE_FAILED)
    assert failed.code == "no_builder"


async def test_too_few_rows_are_a_bad_dataset(foundry: Foundry) -> None:
    foundry.meter = ScriptedMeter([figures(rows=3)])
    foundry.submit(foundry.request())

    await foundry.work()

    [failed] = foundry.trainer.events(ENGINE_FAILED)
    assert failed.code == "bad_dataset"


async def test_an_engine_that_gives_no_numbers_fails(foundry: Foundry) -> None:
    foundry.meter = ScriptedMeter([figures(difference=float("nan"))])
    foundry.submit(foundry.request())

    await foundry.work()

    [failed] = foundry.trainer.events(ENGINE_FAILED)
    assert failed.code == "bad_engine"


async def test_weights_that_are_not_the_models_are_refused(foundry: Foundry) -> None:
    request = foundry.request()
    request.model.digest = "a" * 64
    foundry.submit(request)

    await foundry.work()

    [failed] = foundry.trainer.events(ENGINE_FAILED)
    assert failed.code == "bad_request"
    assert foundry.builder.built == []


async def test_a_builder_that_says_never_ends_the_build(foundry: Foundry) -> None:
    foundry.builder = ScriptedBuilder(faults=[Poison("no GPU", code="no_builder")])
    foundry.submit(foundry.request())

    await foundry.work()

    [failed] = foundry.trainer.events(ENGINE_FAILED)
    assert failed.reason == "no GPU"


async def test_a_cancelled_build_stops_its_builder_and_says_so(foundry: Foundry) -> None:
    foundry.builder.hang = True
    foundry.submit(foundry.request())

    working = asyncio.create_task(foundry.work())
    await foundry.builder.hanging.wait()
    foundry.trainer.builds.cancel("build-1", "not needed")
    await working

    [failed] = foundry.trainer.events(ENGINE_FAILED)
    assert failed.code == "cancelled"
    assert foundry.builder.stopped


async def test_an_engine_is_told_stale_once_per_version(foundry: Foundry) -> None:
    foundry.submit(foundry.request())
    await foundry.work()
    engine = foundry.trainer.engine

    told = [tell_stale(engine, {"openvino-genai": version}) for version in ("1", "2", "2", "3")]

    assert told == [0, 1, 0, 1]
    first, second = foundry.trainer.events(ENGINE_STALE)
    assert (first.built_version, first.current_version) == ("1", "2")
    assert (second.application, second.current_version) == ("bank", "3")


async def test_an_engine_that_did_not_pass_is_never_told_stale(foundry: Foundry) -> None:
    foundry.meter = ScriptedMeter([figures(loss=0.5)])
    foundry.submit(foundry.request())
    await foundry.work()

    assert tell_stale(foundry.trainer.engine, {"openvino-genai": "2"}) == 0


def test_a_build_without_rows_is_measured_on_those_of_the_last_build(foundry: Foundry) -> None:
    foundry.submit(foundry.request())
    bare = EngineRequested(build_id="build-2", application="bank", model=foundry.model)

    full = completed(bare, foundry.trainer.builds)

    assert full.held_out == foundry.request().held_out
    assert not bare.held_out.uri


def test_a_build_is_known_once(foundry: Foundry) -> None:
    assert foundry.submit(foundry.request())
    assert not foundry.submit(foundry.request())
    job = foundry.trainer.builds.get("build-1")
    assert job is not None
    assert job.state is JobState.QUEUED
