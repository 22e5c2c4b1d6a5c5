"""`perennial campaign`: start one, follow it, decide in it, recompute it."""

import time
from datetime import datetime
from itertools import count
from typing import Annotated, Any, Final

import typer

from protos.preprocessing.v1.preprocessing_events_pb2 import RowFilter
from protos.registry.v1 import registry_service_pb2 as messages
from protos.registry.v1.registry_events_pb2 import Evidence, OperatorAction
from protos.registry.v1.registry_service_pb2_grpc import RegistryServiceStub
from services.cli import show
from services.cli.applications import Name
from services.cli.proposals import Wanted, decoding_of, proposal
from services.cli.session import TIMEOUT_S, Session

app = typer.Typer(help="Campaigns: runs of the loop.", no_args_is_help=True)
Operator = Annotated[str, typer.Option("--by", help="Who decides.", envvar="USER")]
Reason = Annotated[str, typer.Option(help="Why; kept with the decision.")]
REPLAY_TIMEOUT_S: Final = 300.0
LOOK_EVERY_S: Final = 1.0
PROGRESS_EVERY: Final = 10
"""Looks between two lines of how far it is."""
PROMOTED: Final = "promoted"
ENDED: Final = frozenset({PROMOTED, "rejected", "rolled_back", "failed", "aborted", "superseded"})


def registry() -> RegistryServiceStub:
    return RegistryServiceStub(Session.here().operator("registry.rpc"))


@app.command()
def start(
    application: Name,
    collection: Annotated[str, typer.Option(help="Training rows of this collection.")] = "",
    since: Annotated[datetime | None, typer.Option(help="Only rows from then on; UTC.")] = None,
    until: Annotated[datetime | None, typer.Option(help="Only rows before then; UTC.")] = None,
    segment: Annotated[str, typer.Option(help="Only rows with this LABEL=VALUE.")] = "",
    prompt: Annotated[int, typer.Option(help="Try this version of the prompt.")] = 0,
    decoding: Annotated[
        list[str] | None, typer.Option(help="Try NAME=VALUE instead of the champion's; repeat.")
    ] = None,
    release: Annotated[str, typer.Option(help="Try this earlier release; its digest.")] = "",
    provider: Annotated[str, typer.Option(help="Try this declared fallback.")] = "",
    rebuild: Annotated[bool, typer.Option(help="Build the engine anew and try it.")] = False,
    upgrade: Annotated[
        bool, typer.Option(help="Only build the engine for the runtime of today; no canary.")
    ] = False,
    reason: Reason = "",
    override: Annotated[str, typer.Option(help="Why a failed evaluation is passed over.")] = "",
    operator: Operator = "operator",
    as_json: show.AsJson = False,
) -> None:
    """Train a candidate on what is there now and put it through the loop.

    --since, --until and --segment leave out all other training rows: what only those teach is
    forgotten. Nothing but the training rows is chosen, the held-out ones stay.

    With --prompt, --decoding, --release, --provider, --rebuild or --upgrade nothing is trained:
    what is named is tried against the champion.
    """
    door = registry()
    wanted = Wanted(prompt, tuple(decoding or ()), release, provider, rebuild, upgrade)
    request = messages.StartCampaignRequest(
        application=application,
        collection=collection,
        operator=operator,
        reason=reason,
        override_reason=override,
        proposal=proposal(wanted, lambda: decoding_of(door, application, release)),
        only=_only(since, until, segment),
    )
    started = door.StartCampaign(request, timeout=TIMEOUT_S)
    show.rows("campaign", [{"campaign_id": started.campaign_id}], as_json)


def _only(since: datetime | None, until: datetime | None, segment: str) -> RowFilter | None:
    if not (since or until or segment):
        return None
    found = RowFilter(segment=segment)
    if since:
        found.since.FromDatetime(since)
    if until:
        found.until.FromDatetime(until)
    return found


@app.command("list")
def list_(application: Name, as_json: show.AsJson = False) -> None:
    """List campaigns, newest first."""
    request = messages.ListCampaignsRequest(application=application, page_size=100)
    found = registry().ListCampaigns(request, timeout=TIMEOUT_S).campaigns
    if as_json:
        return show.print_json([show.as_dict(campaign) for campaign in found])
    rows = [(c.campaign_id, c.kind, c.state, f"{c.share:.0%}", c.outcome_reason) for c in found]
    return show.table("campaigns", ("campaign", "kind", "state", "share", "reason"), rows)


@app.command("show")
def show_(campaign_id: str, as_json: show.AsJson = False) -> None:
    """Show one campaign: each transition with its cause and evidence."""
    campaign = _campaign(registry(), campaign_id)
    if as_json:
        return show.print_json(_as_dict(campaign))
    rows = [
        (
            t.at.ToDatetime().strftime("%H:%M:%S"),
            t.to_state,
            f"{t.share:.0%}",
            f"{t.cause_topic}\n{t.cause_event_id}",
            t.reason,
            "\n".join(map(_figure, t.evidence)),
        )
        for t in campaign.transitions
    ]
    columns = ("at", "state", "share", "cause", "reason", "evidence")
    show.table(f"campaign {campaign_id}: {campaign.state}", columns, rows)
    if campaign.progress:
        show.console.print(f"{campaign.state}: {campaign.progress}", markup=False, highlight=False)
    return None


@app.command()
def watch(campaign_id: str, as_json: show.AsJson = False) -> None:
    """Print a campaign's steps until it has ended; exit 1 unless it was promoted.

    Beside them, how far it is in what takes long, as it changes.
    """
    door, told, progress = registry(), 0, ""
    for look in count():
        campaign = _campaign(door, campaign_id)
        for step in campaign.transitions[told:]:
            at = step.at.ToDatetime().strftime("%H:%M:%S")
            typer.echo(f"{at}  {step.to_state:<12} {step.reason}".rstrip(), err=as_json)
        stepped, told = len(campaign.transitions) > told, len(campaign.transitions)
        due = stepped or look % PROGRESS_EVERY == 0
        if due and campaign.progress not in ("", progress):
            progress = campaign.progress
            typer.echo(f"{'':8}  {campaign.state:<12} {progress}", err=as_json)
        if campaign.state in ENDED:
            break
        time.sleep(LOOK_EVERY_S)
    if as_json:
        show.print_json(_as_dict(campaign))
    if campaign.state != PROMOTED:
        raise typer.Exit(1)


def _figure(seen: Evidence) -> str:
    interval = f" [{seen.lower:.4g}, {seen.upper:.4g}]" if _has_interval(seen) else ""
    return f"{seen.name} {seen.value:.4g}{interval}"


def _has_interval(seen: Evidence) -> bool:
    """The bounds of a plain number, such as a threshold, are both left at 0."""
    return seen.upper > seen.lower


def _as_dict(campaign: messages.Campaign) -> dict[str, Any]:
    """As the message has it, but for bounds that nothing has."""
    shown = show.as_dict(campaign)
    for step, told in zip(campaign.transitions, shown["transitions"], strict=True):
        for seen, figure in zip(step.evidence, told["evidence"], strict=True):
            if not _has_interval(seen):
                del figure["lower"], figure["upper"]
    return shown


def _campaign(door: RegistryServiceStub, campaign_id: str) -> messages.Campaign:
    return door.GetCampaign(messages.GetCampaignRequest(campaign_id=campaign_id), timeout=TIMEOUT_S)


@app.command()
def replay(campaign_id: str, as_json: show.AsJson = False) -> None:
    """Recompute a campaign from the topics; exit 1 when it does not agree."""
    answer = registry().ReplayCampaign(
        messages.ReplayCampaignRequest(campaign_id=campaign_id), timeout=REPLAY_TIMEOUT_S
    )
    if as_json:
        show.print_json(show.as_dict(answer))
    else:
        verdict = "[green]agrees[/]" if answer.agrees else "[red]does NOT agree[/]"
        show.console.print(f"{verdict} ({answer.events_read} events read)")
        show.console.print(f"recorded {answer.recorded_sha256}\nreplayed {answer.replayed_sha256}")
        for difference in answer.differences:
            show.console.print(f"  {difference}", markup=False)
    if not answer.agrees:
        raise typer.Exit(1)


def _act(
    action: "OperatorAction.ValueType",
    campaign_id: str,
    operator: str,
    reason: str,
    as_json: bool,
) -> None:
    request = messages.ActOnCampaignRequest(
        campaign_id=campaign_id, action=action, operator=operator, reason=reason
    )
    registry().ActOnCampaign(request, timeout=TIMEOUT_S)
    verb = OperatorAction.Name(action).removeprefix("OPERATOR_ACTION_").lower()
    show.rows("asked", [{"campaign_id": campaign_id, "action": verb}], as_json)


@app.command()
def approve(
    campaign_id: str,
    reason: Reason = "",
    operator: Operator = "operator",
    as_json: show.AsJson = False,
) -> None:
    """Let a campaign that waits for review go on."""
    _act(OperatorAction.OPERATOR_ACTION_APPROVE, campaign_id, operator, reason, as_json)


@app.command()
def abort(
    campaign_id: str,
    reason: Reason = "",
    operator: Operator = "operator",
    as_json: show.AsJson = False,
) -> None:
    """End a campaign; its candidate leaves the traffic."""
    _act(OperatorAction.OPERATOR_ACTION_ABORT, campaign_id, operator, reason, as_json)


@app.command()
def pause(
    campaign_id: str,
    reason: Reason = "",
    operator: Operator = "operator",
    as_json: show.AsJson = False,
) -> None:
    """Stop a campaign where it is; the shares stay."""
    _act(OperatorAction.OPERATOR_ACTION_PAUSE, campaign_id, operator, reason, as_json)


@app.command()
def resume(
    campaign_id: str,
    reason: Reason = "",
    operator: Operator = "operator",
    as_json: show.AsJson = False,
) -> None:
    """Let a paused campaign go on."""
    _act(OperatorAction.OPERATOR_ACTION_RESUME, campaign_id, operator, reason, as_json)
