"""What the READMEs and the alert rules tell people to type is what the command takes."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
import typer
import yaml

from services.cli.commands import app

ROOT = Path(__file__).parents[4]
ROOT_COMMAND: Final = typer.main.get_command(app)
TEXTS = (ROOT / "README.md", *sorted(ROOT.glob("services/*/README.md")))
UsageError: Final = typer.BadParameter.__mro__[1]
COMMAND: Final = re.compile(r"`perennial ([^`]*)`")
RULES = ROOT / "infra" / "prometheus" / "rules.yml"


def lines() -> Iterator[tuple[str, str]]:
    """(place, command) of every line of a code block, and of every alert's runbook and summary."""
    for path in TEXTS:
        for line in re.findall(r"^perennial (.*)$", path.read_text(), re.MULTILINE):
            yield path.parent.name, line
    for group in yaml.safe_load(RULES.read_text())["groups"]:
        for rule in group["rules"]:
            told = f"`{rule['annotations']['runbook']}` {rule['annotations']['summary']}"
            for line in COMMAND.findall(re.sub(r"\{\{.*?\}\}", "NAME", told)):
                yield rule["alert"], line


def mentions() -> Iterator[tuple[str, str]]:
    """(place, command) of every command within a sentence; it may leave things out."""
    for path in TEXTS:
        for told in COMMAND.findall(path.read_text()):
            words = [word.split("|") for word in told.split()]
            for choice in max(words, key=len):
                one = [choice if len(word) > 1 else word[0] for word in words]
                yield path.parent.name, " ".join(one)


def parse(words: list[str]) -> None:
    """
    Raises:
        UsageError: there is no such command, or it does not take these words.
    """
    command: Any = ROOT_COMMAND
    while words and hasattr(command, "commands"):
        _, command, words = command.resolve_command(typer.Context(command), words)
    if not hasattr(command, "commands"):
        command.make_context(command.name, words)


@pytest.mark.parametrize(("place", "line"), lines(), ids=str)
def test_a_line_to_type_is_taken(
    place: str, line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = shlex.split(line, comments=True)
    monkeypatch.chdir(tmp_path)
    for word in words:
        if word.endswith(".jsonl"):
            (tmp_path / word).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / word).touch()

    parse(words)


@pytest.mark.parametrize(("place", "told"), mentions(), ids=str)
def test_a_command_in_a_sentence_exists(place: str, told: str) -> None:
    words = [word for word in shlex.split(told) if word != "--help"]
    try:
        parse(words)
    except typer.BadParameter as error:
        if "Missing" not in error.format_message():  # a sentence need not say all of it
            raise


def test_who_is_told_to_replay_is_told_to_mean_it() -> None:
    replays = [told for _, told in mentions() if told.startswith("dlq replay")]

    assert replays
    assert all(told.endswith(" --yes") for told in replays)


def test_the_texts_are_found() -> None:
    assert len(list(lines())) > 30
    assert len(list(mentions())) > 20


@pytest.mark.parametrize("line", ["slo NAME", "engines list -a NAME", "dlq replay TOPIC --sure"])
def test_a_line_that_is_wrong_is_refused(line: str) -> None:
    with pytest.raises(UsageError):
        parse(line.split())


def leaves(command: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    for name, child in getattr(command, "commands", {}).items():
        yield from leaves(child, f"{path} {name}".strip())
    if not hasattr(command, "commands"):
        yield path, command


@pytest.mark.parametrize(("path", "command"), leaves(ROOT_COMMAND), ids=str)
def test_every_command_but_run_has_json(path: str, command: Any) -> None:
    options = {option for each in command.params for option in each.opts}

    assert ("--json" in options) == (path != "run")
