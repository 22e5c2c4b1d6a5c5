"""Declaring an application, feeding it, and seeing what it serves."""

import re
from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Final

import typer
import yaml
from google.protobuf import json_format

from libs.faults import NOT_FOUND, Poison
from protos.ingest.v1.ingest_events_pb2 import Record
from protos.registry.v1 import registry_service_pb2 as messages
from protos.registry.v1.application_pb2 import Application
from protos.registry.v1.registry_events_pb2 import ApplicationApplied, Role
from protos.registry.v1.registry_service_pb2_grpc import RegistryServiceStub
from services.cli import show, upload
from services.cli.session import TIMEOUT_S, Session

MOST_REJECTIONS: Final = 20
PAGE: Final = 200
Name = Annotated[str, typer.Option("--application", "-a", help="The application's name.")]


def read_application(path: Path) -> Application:
    """An application from its YAML file; field names as in protos/registry/v1/application.proto.

    Raises:
        Poison: ``bad_application`` naming the field that is wrong.
    """
    try:
        content = yaml.safe_load(path.read_text())
        return json_format.ParseDict(content, Application())
    except (OSError, yaml.YAMLError, json_format.ParseError, AttributeError) as error:
        raise Poison(f"{path}: {_as_in_the_file(error)}", code="bad_application") from error


def _as_in_the_file(error: Exception) -> str:
    """protobuf lists the fields there are in camelCase, the file has snake_case."""
    told, marker, known = str(error).partition("Available Fields")
    return told + marker + re.sub(r"(?<=[a-z0-9])[A-Z]", lambda one: f"_{one[0].lower()}", known)


def apply(path: Path, as_json: show.AsJson = False) -> None:
    """Declare an application from a YAML file; repeat it to change its policies."""
    session = Session.here()
    application = read_application(path)
    registry = RegistryServiceStub(session.operator("registry.rpc"))
    applied = registry.ApplyApplication(
        messages.ApplyApplicationRequest(application=application), timeout=TIMEOUT_S
    )
    if application.name not in session.api_keys():
        make_key(session, registry, application.name)
    row = {
        "application": application.name,
        "revision": applied.revision,
        "changed": applied.changed,
        "api_key": f"kept in {session.home / 'keys.json'}",
    }
    show.rows("application", [row], as_json)


def applications(
    name: Annotated[str, typer.Argument(help="Only this one, as a file for `apply`.")] = "",
    as_json: show.AsJson = False,
) -> None:
    """List the applications; with a name, show what is declared of it."""
    registry = RegistryServiceStub(Session.here().operator("registry.rpc"))
    found = [each for each in declared(registry) if name in ("", each.application.name)]
    if name and not found:
        raise Poison(f"no application {name!r}", code=NOT_FOUND)
    if as_json:
        return show.print_json([show.as_dict(each) for each in found])
    if name:
        fields = json_format.MessageToDict(found[0].application, preserving_proto_field_name=True)
        return typer.echo(yaml.safe_dump(fields, sort_keys=False, allow_unicode=True), nl=False)
    listed = [{"name": each.application.name, "revision": each.revision} for each in found]
    return show.rows("applications", listed, as_json)


def declared(registry: RegistryServiceStub) -> Iterator[ApplicationApplied]:
    """Every application as last applied, oldest first."""
    request = messages.ListApplicationsRequest(page_size=PAGE)
    while True:
        page = registry.ListApplications(request, timeout=TIMEOUT_S)
        yield from page.applications
        if not page.next_page_token:
            return
        request.page_token = page.next_page_token


def make_key(session: Session, registry: RegistryServiceStub, application: str) -> str:
    """A new API key, kept in keys.json; the doors know it."""
    made = registry.CreateApiKey(
        messages.CreateApiKeyRequest(application=application), timeout=TIMEOUT_S
    )
    session.keep_key(application, made.api_key)
    upload.await_key(session, application)
    return str(made.api_key)


def ingest(
    files: Annotated[list[Path], typer.Argument(exists=True, dir_okay=False)],
    application: Name,
    kind: Annotated[str, typer.Option(help="example, document, preference, evaluation_case")] = "",
    collection: Annotated[str, typer.Option(help="Where the rows belong; '' is the default.")] = "",
    as_json: show.AsJson = False,
) -> None:
    """Upload files: JSONL with one record a line, or text and Markdown as documents.

    A line's own fields win over the options. Nothing is sent before every file was read once and
    found sound; lines that ingest then refuses are listed on stderr.
    """
    given = Record(application=application, collection=collection)
    if kind:
        given.kind = upload.kind_of(kind)
    lines = {path: array("Q", (at for at, _ in upload.records_of(path, given))) for path in files}
    session = Session.here()
    found: list[dict[str, Any]] = []
    for path in files:
        records = (record for _, record in upload.records_of(path, given))
        answer = upload.upload(session, application, records)
        found.append({"file": str(path), "accepted": answer.accepted, "rejected": answer.rejected})
        for each in answer.rejections[:MOST_REJECTIONS]:
            place = f"{path}:{lines[path][each.line - 1]}"
            typer.echo(f"{place}: {each.code}: {each.reason}", err=True)
    show.rows("uploads", found, as_json)
    if any(row["rejected"] for row in found):
        raise typer.Exit(1)


def releases(application: Name, as_json: show.AsJson = False) -> None:
    """List an application's releases, newest first, with the share each one serves."""
    registry = RegistryServiceStub(Session.here().operator("registry.rpc"))
    request = messages.ListReleasesRequest(application=application, page_size=500)
    found = registry.ListReleases(request, timeout=TIMEOUT_S).releases
    if as_json:
        return show.print_json([show.as_dict(entry) for entry in found])
    rows = [
        (
            entry.release.digest[:16],
            Role.Name(entry.role).removeprefix("ROLE_").lower() if entry.role else "-",
            f"{entry.share:.0%}",
            entry.release.engine.provider.name or entry.release.engine.runtime,
            entry.release.engine.precision,
            entry.release.prompt.version or "-",
            entry.dataset_digest[:12],
            entry.campaign_id[:18],
        )
        for entry in found
    ]
    columns = ("release", "role", "share", "runtime", "precision", "prompt", "dataset", "campaign")
    return show.table(f"releases of {application}", columns, rows)
