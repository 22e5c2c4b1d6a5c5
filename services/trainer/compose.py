"""The trainer's composition root."""

from typing import Final

from libs.artifacts.minio import MinioStore
from libs.events.topics import CAMPAIGN_TRANSITIONED, ENGINE_REQUESTED, TRAINING_REQUESTED
from libs.faults import Fatal, Poison
from libs.kafka.confluent import KafkaSink
from libs.kafka.consumer import Route
from libs.kafka.part import Consumer
from libs.rpc.server import RpcServer
from libs.runtime.clock import SystemClock
from libs.runtime.service import Service
from libs.sql.engine import connect
from libs.sql.jobs import Jobs
from libs.sql.migrate import upgrade
from libs.sql.relay import OutboxRelay
from libs.sql.worker import Hooks, JobWorker, Pace
from services.trainer.adapters.builds import (
    SqlBuilds,
    SqlCampaigns,
    SqlShelf,
    announce_build,
    tell_stale,
)
from services.trainer.adapters.openvino import OpenVinoBuilder, OpenVinoMeter, version_in
from services.trainer.adapters.process import ROOT, SftProcess, guard
from services.trainer.adapters.sql import SqlDiary, SqlRuns, announce
from services.trainer.adapters.tables import BUILDS, OUTBOX, RUNS
from services.trainer.adapters.tensorrt.builder import TensorRtLlmBuilder
from services.trainer.adapters.tensorrt.host import hardware, insist_on_image
from services.trainer.adapters.tensorrt.images import image
from services.trainer.adapters.tensorrt.meter import TensorRtLlmMeter
from services.trainer.adapters.tensorrt.plan import Plan
from services.trainer.config import Settings, TensorRtSettings
from services.trainer.handlers import (
    Attempt,
    Build,
    Cancel,
    CancelEngine,
    Get,
    GetEngine,
    ListEngines,
    OnCampaignTransitioned,
    OnEngineRequested,
    OnTrainingRequested,
    Submit,
    SubmitEngine,
    Workbench,
    Workshop,
    Yard,
)
from services.trainer.rpc import SERVICE, TrainingServicer

BASE_FILES: Final = ("config.json", "model.safetensors", "tokenizer.json", "chat_template.jinja")


def build() -> Service:
    settings = Settings()  # type: ignore[call-arg]  # from the environment
    engine = connect(settings.sql.url)
    upgrade(engine, "services.trainer")
    jobs = Jobs(engine, RUNS, SystemClock())
    build_jobs = Jobs(engine, BUILDS, SystemClock())
    runs = SqlRuns(jobs)
    builds = SqlBuilds(engine, build_jobs)
    campaigns = SqlCampaigns(engine, jobs, build_jobs)
    benches = workbenches(settings)
    versions = {name: bench.builder.current_version for name, bench in benches.items()}
    tell_stale(engine, versions)
    relay_sink = KafkaSink(settings.kafka)
    letters_sink = KafkaSink(settings.kafka)
    store = MinioStore(settings.s3)
    attempt = Attempt(
        workshop(settings),
        store,
        SqlDiary(engine),
        SftProcess(settings.model_python, settings.threads),
        guard,
    )
    yard = Yard(settings.state_dir / "builds", settings.base_model.resolve())
    build_engine = Build(yard, store, SqlShelf(engine), benches, guard, SystemClock())
    pace = Pace(lease_s=settings.lease_s, heartbeat_s=settings.heartbeat_s)
    servicer = TrainingServicer(
        Submit(runs),
        Get(runs),
        Cancel(runs),
        SubmitEngine(builds, versions, benches),
        GetEngine(builds, versions),
        CancelEngine(builds, versions),
        ListEngines(builds, versions),
    )
    token = settings.operator_token.get_secret_value()
    worker = JobWorker(jobs, attempt, Hooks(ended=announce), pace)
    builder = JobWorker(build_jobs, build_engine, Hooks(ended=announce_build), pace)
    return Service(
        "trainer",
        settings,
        [
            relay_sink,
            OutboxRelay(engine, OUTBOX, relay_sink),
            letters_sink,
            worker.part("trainer.worker"),
            builder.part("trainer.builder"),
            RpcServer(settings.rpc, servicer.register, [SERVICE], token),
            Consumer.of(
                settings.kafka,
                group="trainer",
                routes=[
                    Route(TRAINING_REQUESTED, OnTrainingRequested(runs, campaigns)),
                    Route(ENGINE_REQUESTED, OnEngineRequested(builds, campaigns)),
                    Route(CAMPAIGN_TRANSITIONED, OnCampaignTransitioned(campaigns)),
                ],
                sink=letters_sink,
            ),
        ],
    )


def workbenches(settings: Settings) -> dict[str, Workbench]:
    """What this host builds engines with, by runtime."""
    python, threads = settings.model_python, settings.threads
    builder = OpenVinoBuilder(python, threads, version_in(python), settings.build_timeout_s)
    meter = OpenVinoMeter(python, threads, settings.gate_rows, settings.build_timeout_s)
    benches = {builder.runtime: Workbench(builder, meter)}
    if settings.tensorrt is not None:
        gpus = gpu_builder(settings.tensorrt, settings.build_timeout_s)
        gpu_meter = TensorRtLlmMeter(gpus, threads, settings.gate_rows)
        benches[gpus.runtime] = Workbench(gpus, gpu_meter)
    return benches


def gpu_builder(settings: TensorRtSettings, timeout_s: float) -> TensorRtLlmBuilder:
    """Of engines for this host's GPUs.

    Raises:
        Fatal: the GPUs or the image are not here; the message says what to do.
    """
    try:
        release = image(settings.image)
    except Poison as error:
        raise Fatal(f"PERENNIAL_TENSORRT__IMAGE: {error}") from error
    plan = Plan(
        image=release,
        hardware=hardware(settings.tensor_parallel),
        precision="bf16",
        tensor_parallel=settings.tensor_parallel,
    )
    if not settings.inside:
        insist_on_image(release.pinned(settings.image_digest))
    return TensorRtLlmBuilder(
        plan=plan,
        image_digest=settings.image_digest,
        templates=ROOT / "infra" / "triton",
        calibration=str(settings.calibration.resolve()) if settings.calibration else "",
        inside=settings.inside,
        timeout_s=timeout_s,
    )


def workshop(settings: Settings) -> Workshop:
    """Where this host trains.

    Raises:
        Fatal: the base model is not there; no run could ever succeed.
    """
    for name in BASE_FILES:
        if not (settings.base_model / name).is_file():
            raise Fatal(f"the base model {settings.base_model} has no {name}")
    return Workshop(
        runs_dir=settings.state_dir / "runs",
        base_model=settings.base_model.resolve(),
        max_tokens=settings.max_tokens,
        threads=settings.threads,
    )
