"""`perennial provider`: external APIs that answer when no engine does."""

from typing import Annotated

import typer

from protos.registry.v1 import registry_service_pb2 as messages
from services.cli import show
from services.cli.applications import Name
from services.cli.campaigns import Operator, registry
from services.cli.session import TIMEOUT_S

app = typer.Typer(help="Providers: declared fallbacks, once approved.", no_args_is_help=True)


@app.command("list")
def list_(application: Name, as_json: show.AsJson = False) -> None:
    """List the declared fallbacks, in the order in which they are tried."""
    request = messages.ListProvidersRequest(application=application)
    found = registry().ListProviders(request, timeout=TIMEOUT_S).providers
    if as_json:
        return show.print_json([show.as_dict(entry) for entry in found])
    rows = [_row(entry) for entry in found]
    columns = ("provider", "address", "model", "may answer", "because")
    return show.table(f"providers of {application}", columns, rows)


@app.command()
def approve(
    application: Name,
    name: str,
    reason: Annotated[str, typer.Option(help="Why; kept with the decision.")],
    operator: Operator = "operator",
    as_json: show.AsJson = False,
) -> None:
    """Vouch for a declared fallback; the other way is a campaign with --provider."""
    request = messages.ApproveProviderRequest(
        application=application, name=name, operator=operator, reason=reason
    )
    entry = registry().ApproveProvider(request, timeout=TIMEOUT_S)
    show.rows("provider", [show.as_dict(entry)], as_json)


def _row(entry: messages.ProviderEntry) -> tuple[str, ...]:
    who = entry.approved_by or f"campaign {entry.campaign_id}"
    return (
        entry.provider.name,
        entry.provider.base_url,
        entry.provider.model,
        "yes" if entry.approved else "not yet",
        f"{who}: {entry.reason}" if entry.approved else "",
    )
