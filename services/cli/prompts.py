"""`perennial prompt`: versions of an application's prompt."""

from pathlib import Path
from typing import Annotated

import typer

from libs.faults import NOT_FOUND, Poison
from protos.common.v1.common_pb2 import Prompt
from protos.registry.v1 import registry_service_pb2 as messages
from services.cli import show
from services.cli.applications import Name
from services.cli.campaigns import Operator, registry
from services.cli.session import TIMEOUT_S

app = typer.Typer(help="Prompts: versions to try in campaigns.", no_args_is_help=True)
PAGE_SIZE = 500


@app.command("list")
def list_(application: Name, as_json: show.AsJson = False) -> None:
    """List the versions, oldest first; the declared one is what new models are tuned with."""
    found = versions(application)
    if as_json:
        return show.print_json([show.as_dict(entry) for entry in found])
    rows = [
        (
            entry.prompt.version,
            "declared" if entry.declared else "",
            ", ".join(entry.prompt.variables),
            entry.created_by or "the application",
            entry.created_at.ToDatetime().strftime("%Y-%m-%d %H:%M"),
            entry.prompt.template.partition("\n")[0][:60] or "(the question itself)",
        )
        for entry in found
    ]
    columns = ("version", "", "variables", "by", "at", "template")
    return show.table(f"prompts of {application}", columns, rows)


@app.command()
def create(
    application: Name,
    template: Annotated[Path, typer.Argument(help="A file with the jinja2 template.")],
    variable: Annotated[
        list[str] | None, typer.Option("--variable", "-v", help="Used beside `question`.")
    ] = None,
    max_characters: Annotated[int, typer.Option(help="Of the rendered prompt.")] = 0,
    operator: Operator = "operator",
    as_json: show.AsJson = False,
) -> None:
    """Make a version out of a template; the same one again is the version that it was."""
    try:
        text = template.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise Poison(f"{template}: {error}", code="bad_prompt") from error
    prompt = Prompt(template=text, variables=variable or [], max_characters=max_characters)
    request = messages.CreatePromptRequest(
        application=application, prompt=prompt, operator=operator
    )
    made = registry().CreatePrompt(request, timeout=TIMEOUT_S)
    row = {"application": application, "version": made.prompt.version, "declared": made.declared}
    show.rows("prompt", [row], as_json)


@app.command("show")
def show_(application: Name, version: int, as_json: show.AsJson = False) -> None:
    """Print one version's template."""
    for entry in versions(application):
        if entry.prompt.version == version:
            if as_json:
                return show.print_json(show.as_dict(entry))
            return typer.echo(entry.prompt.template)
    raise Poison(f"{application} has no prompt version {version}", code=NOT_FOUND)


def versions(application: str) -> list[messages.PromptEntry]:
    found: list[messages.PromptEntry] = []
    request = messages.ListPromptsRequest(application=application, page_size=PAGE_SIZE)
    while True:
        page = registry().ListPrompts(request, timeout=TIMEOUT_S)
        found.extend(page.prompts)
        if not page.next_page_token:
            return found
        request.page_token = page.next_page_token
