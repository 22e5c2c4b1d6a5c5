"""`perennial engine`: what was built of the models, what it costs, and builds for comparison."""

import time
import uuid
from collections.abc import Sequence
from typing import Annotated, Final

import typer

from libs.faults import NOT_FOUND, Poison
from protos.registry.v1 import registry_service_pb2 as messages
from protos.registry.v1.registry_events_pb2 import ROLE_CHAMPION
from protos.registry.v1.registry_service_pb2_grpc import RegistryServiceStub
from protos.training.v1 import training_service_pb2 as training
from protos.training.v1.training_events_pb2 import EngineBuilt, EngineOrder, EngineRequested
from protos.training.v1.training_service_pb2_grpc import TrainingServiceStub
from services.cli import show
from services.cli.applications import Name
from services.cli.session import TIMEOUT_S, Session

app = typer.Typer(help="Engines: what is served of a model.", no_args_is_help=True)
Model = Annotated[str, typer.Option(help="Digest of the model; default the champion's.")]
POLL_S: Final = 1.0
ENDED: Final = (
    training.RUN_STATE_COMPLETED,
    training.RUN_STATE_FAILED,
    training.RUN_STATE_CANCELLED,
)
MEBIBYTE: Final = 1024 * 1024
PAGE: Final = 200


def registry() -> RegistryServiceStub:
    return RegistryServiceStub(Session.here().operator("registry.rpc"))


def trainer() -> TrainingServiceStub:
    return TrainingServiceStub(Session.here().operator("trainer.rpc"))


@app.command("list")
def list_(application: Name, as_json: show.AsJson = False) -> None:
    """List the engines that were built, newest first."""
    found = engines(registry(), application)
    if as_json:
        return show.print_json([show.as_dict(entry) for entry in found])
    rows = [
        (
            entry.built_at.ToDatetime().strftime("%m-%d %H:%M"),
            entry.built.engine.digest[:12],
            entry.built.model_digest[:12],
            f"{entry.built.engine.runtime} {entry.built.engine.runtime_version}",
            f"{entry.built.engine.precision} {entry.built.engine.hardware}",
            "passed" if entry.built.passed else "not passed",
            identical(entry.built),
            staleness(entry),
            "; ".join(entry.built.reasons) if not entry.built.passed else "",
        )
        for entry in found
    ]
    columns = "built", "engine", "model", "runtime", "for", "gate", "same again", "stale", "reason"
    return show.table("engines", columns, rows)


@app.command()
def compare(application: Name, model: Model = "", as_json: show.AsJson = False) -> None:
    """Show what each engine of one model costs and what it gives, smallest first."""
    door = registry()
    digest = model or champion(door, application).release.model_digest
    found = [
        entry for entry in engines(door, application) if entry.built.model_digest.startswith(digest)
    ]
    if as_json:
        return show.print_json([show.as_dict(entry) for entry in found])
    columns = (
        "precision",
        "runtime",
        "MiB",
        "loss difference",
        "|d logp|",
        "greedy",
        "same again",
        "tokens/s",
        "first token p95",
        "gate",
        "stale",
    )
    return show.table(f"engines of model {digest[:12]}", columns, compared(found))


@app.command()
def build(
    application: Name,
    precision: Annotated[str, typer.Option(help="q8_0, f16, q4_1, q8_0-drop2; of GPUs fp8, ...")],
    runtime: Annotated[str, typer.Option(help="openvino-genai, tensorrt-llm.")] = "openvino-genai",
    release: Annotated[str, typer.Option(help="Of another release than the champion.")] = "",
    wait: Annotated[bool, typer.Option(help="Wait for its end; exit 1 when it fails.")] = True,
    as_json: show.AsJson = False,
) -> None:
    """Build an engine of the champion's model, for comparison: nothing is served of it."""
    door = registry()
    digest = release or champion(door, application).release.digest
    lineage = door.TraceRelease(
        messages.TraceReleaseRequest(release_digest=digest), timeout=TIMEOUT_S
    )
    request = order(lineage, EngineOrder(runtime=runtime, precision=precision))
    workers = trainer()
    found = workers.SubmitEngine(training.SubmitEngineRequest(request=request), timeout=TIMEOUT_S)
    while wait and found.state not in ENDED:
        time.sleep(POLL_S)
        asked = training.GetEngineRequest(build_id=request.build_id)
        found = workers.GetEngine(asked, timeout=TIMEOUT_S)
    if as_json:
        show.print_json(show.as_dict(found))
    else:
        state = training.RunState.Name(found.state).removeprefix("RUN_STATE_").lower()
        told = "; ".join(found.built.reasons) or found.reason
        show.console.print(f"{request.build_id}: {state} {told}", markup=False)
    if found.state in ENDED[1:]:
        raise typer.Exit(1)


def champion(door: RegistryServiceStub, application: str) -> messages.Lineage:
    """The serving release, in a lineage that has no more than it.

    Raises:
        Poison: ``not_found``.
    """
    request = messages.GetRoutingRequest(application=application)
    for route in door.GetRouting(request, timeout=TIMEOUT_S).routes:
        if route.role == ROLE_CHAMPION:
            return messages.Lineage(release=route.release)
    raise Poison(f"{application} has no champion yet", code=NOT_FOUND)


def order(lineage: messages.Lineage, wanted: EngineOrder) -> EngineRequested:
    """A build of a release's model that no campaign waits for."""
    release = lineage.release
    return EngineRequested(
        build_id=f"build-{uuid.uuid4()}",
        application=release.application,
        model=lineage.model,
        order=wanted,
        held_out=lineage.dataset.held_out,
        prompt_template=release.prompt_template,
        decoding=release.decoding,
    )


def engines(door: RegistryServiceStub, application: str) -> list[messages.EngineEntry]:
    request = messages.ListEnginesRequest(application=application, page_size=PAGE)
    return list(door.ListEngines(request, timeout=TIMEOUT_S).engines)


def compared(found: Sequence[messages.EngineEntry]) -> list[tuple[str, ...]]:
    """One row per engine, smallest first; of an engine the newest gate."""
    newest = {entry.built.engine.digest: entry for entry in reversed(found)}
    return [
        (
            entry.built.engine.precision,
            f"{entry.built.engine.runtime} {entry.built.engine.runtime_version}",
            f"{entry.built.size_bytes / MEBIBYTE:.0f}",
            *figures(entry.built),
            "passed" if entry.built.passed else "not passed",
            staleness(entry),
        )
        for entry in sorted(newest.values(), key=lambda entry: entry.built.size_bytes)
    ]


def figures(built: EngineBuilt) -> tuple[str, ...]:
    if not built.HasField("loss_difference"):
        return ("not measured", "", "", "", "", "")
    loss = built.loss_difference
    speeds = " / ".join(f"{each.tokens_per_s:.0f} at {each.streams}" for each in built.throughput)
    return (
        f"{loss.estimate:+.4f} [{loss.lower:+.4f}, {loss.upper:+.4f}]",
        f"{built.mean_abs_logprob_difference:.4f}",
        f"{built.greedy_agreement:.1%}",
        identical(built),
        speeds,
        f"{built.first_token_p95_s:.2f} s",
    )


def identical(built: EngineBuilt) -> str:
    """How many repeated answers were the same, with the release's parameters and one seed."""
    if not built.repeated_answers:
        return ""
    return f"{built.identical_answers:.0%} of {built.repeated_answers}"


def staleness(entry: messages.EngineEntry) -> str:
    return f"yes, {entry.current_version} is here" if entry.stale else "no"
