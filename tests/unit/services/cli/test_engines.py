"""What `perennial engine` shows and asks for."""

from protos.common.v1.common_pb2 import Artifact, Engine, Interval, ModelVersion
from protos.registry.v1.registry_events_pb2 import Release
from protos.registry.v1.registry_service_pb2 import DatasetEntry, EngineEntry, Lineage
from protos.training.v1.training_events_pb2 import EngineBuilt, EngineOrder, Throughput
from services.cli.engines import compared, order


def entry(digest: str, precision: str, size: int, *, stale: bool = False) -> EngineEntry:
    built = EngineBuilt(
        engine=Engine(digest=digest, runtime="openvino-genai", precision=precision),
        passed=True,
        size_bytes=size,
        mean_abs_logprob_difference=0.021,
        loss_difference=Interval(estimate=0.004, lower=-0.006, upper=0.013),
        greedy_agreement=0.98,
        identical_answers=0.75,
        repeated_answers=16,
        first_token_p95_s=0.18,
        throughput=[
            Throughput(streams=1, tokens_per_s=61),
            Throughput(streams=8, tokens_per_s=310),
        ],
    )
    return EngineEntry(built=built, stale=stale, current_version="2")


def test_engines_are_compared_smallest_first() -> None:
    rows = compared([entry("a", "f16", 270 << 20), entry("b", "q8_0", 138 << 20, stale=True)])

    assert [row[0] for row in rows] == ["q8_0", "f16"]
    assert rows[0][2:] == (
        "138",
        "+0.0040 [-0.0060, +0.0130]",
        "0.0210",
        "98.0%",
        "75% of 16",
        "61 at 1 / 310 at 8",
        "0.18 s",
        "passed",
        "yes, 2 is here",
    )


def test_an_engine_that_nobody_measured_says_so() -> None:
    unmeasured = EngineEntry(built=EngineBuilt(engine=Engine(digest="a", precision="fp8")))

    [row] = compared([unmeasured])

    assert row[3] == "not measured"
    assert row[-2:] == ("not passed", "no")


def test_a_build_for_comparison_is_of_the_release_and_nobodys_campaign() -> None:
    lineage = Lineage(
        release=Release(application="bank", prompt_template="{{ question }}"),
        model=ModelVersion(digest="m"),
        dataset=DatasetEntry(held_out=Artifact(uri="s3://rows")),
    )

    request = order(lineage, EngineOrder(precision="f16"))

    assert request.campaign_id == ""
    assert (request.application, request.model.digest) == ("bank", "m")
    assert request.held_out.uri == "s3://rows"
    assert request.prompt_template == "{{ question }}"
