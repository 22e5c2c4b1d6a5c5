"""`perennial key`: the API keys of an application. The registry knows their digests only."""

from typing import Annotated

import typer

from libs.faults import NOT_FOUND, Poison
from libs.rpc.auth import digest
from protos.registry.v1 import registry_service_pb2 as messages
from protos.registry.v1.registry_service_pb2_grpc import RegistryServiceStub
from services.cli import show
from services.cli.applications import Name, make_key
from services.cli.session import TIMEOUT_S, Session

app = typer.Typer(help="API keys of an application.", no_args_is_help=True)


@app.command()
def create(application: Name, as_json: show.AsJson = False) -> None:
    """Make a key, keep it in keys.json and print it; older ones stay valid."""
    session = Session.here()
    before = _kept(session, application)
    made = make_key(session, _registry(session), application)
    show.rows("key", [{"application": application, "api_key": made}], as_json)
    if before:
        revoking = f"perennial key revoke -a {application} {before[:12]}"
        typer.echo(f"keys.json had another, which stays valid: `{revoking}` ends it", err=True)


@app.command("list")
def list_(application: Name, as_json: show.AsJson = False) -> None:
    """List the digests (sha256) of the valid keys."""
    session = Session.here()
    kept = _kept(session, application)
    found = [
        {"application": application, "sha256": sha256, "kept_here": "yes" if sha256 == kept else ""}
        for sha256 in _valid(_registry(session), application)
    ]
    show.rows("keys", found, as_json)


@app.command()
def revoke(
    application: Name,
    sha256: Annotated[
        str, typer.Argument(help="Digest, or how it begins; without it the key in keys.json.")
    ] = "",
    as_json: show.AsJson = False,
) -> None:
    """Make a key worthless; the doors hear of it within a second or so."""
    session = Session.here()
    registry = _registry(session)
    kept = _kept(session, application)
    meant = chosen(sha256 or kept, _valid(registry, application))
    request = messages.RevokeApiKeyRequest(application=application, key_sha256=meant)
    registry.RevokeApiKey(request, timeout=TIMEOUT_S)
    if meant == kept:
        session.forget_key(application)
    show.rows("revoked", [{"application": application, "sha256": meant}], as_json)


def chosen(beginning: str, valid: list[str]) -> str:
    """The one digest that begins so.

    Raises:
        Poison: ``not_found``: none does, or several do.
    """
    meant = [sha256 for sha256 in valid if beginning and sha256.startswith(beginning)]
    if len(meant) != 1:
        told = f"{len(meant)} valid keys begin with {beginning!r}" if beginning else "none is kept"
        raise Poison(f"which key? {told}; `perennial key list` names them", code=NOT_FOUND)
    return meant[0]


def _registry(session: Session) -> RegistryServiceStub:
    return RegistryServiceStub(session.operator("registry.rpc"))


def _valid(registry: RegistryServiceStub, application: str) -> list[str]:
    request = messages.GetRoutingRequest(application=application)
    return list(registry.GetRouting(request, timeout=TIMEOUT_S).key_sha256)


def _kept(session: Session, application: str) -> str:
    key = session.api_keys().get(application)
    return digest(key) if key else ""
