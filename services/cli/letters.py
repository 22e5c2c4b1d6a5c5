"""`perennial dlq`: look at dead letters, then send them again."""

from collections.abc import Iterator
from typing import Annotated

import typer

from libs.events.topics import ALL, BY_NAME
from libs.faults import Poison
from libs.kafka.confluent import KafkaSink
from libs.kafka.replay import DeadLetter, dead_letters, send_again
from services.cli import show
from services.cli.session import Session

app = typer.Typer(help="Dead letters: what could not be settled, and why.", no_args_is_help=True)
Chosen = Annotated[str, typer.Argument(help="A topic; without it all of them.")]


def letters_of(session: Session, topic: str) -> Iterator[tuple[str, DeadLetter]]:
    """Topic and letter of every dead letter of ``topic``, or of all topics.

    Raises:
        Poison: ``bad_topic``.
    """
    if topic and topic not in BY_NAME:
        raise Poison(f"no topic {topic!r}; there are {', '.join(BY_NAME)}", code="bad_topic")
    for name in [topic] if topic else [known.name for known in ALL]:
        for letter in dead_letters(session.kafka(), name):
            yield name, letter


@app.command("show")
def show_(topic: Chosen = "", as_json: show.AsJson = False) -> None:
    """List dead letters with their reasons."""
    found = [
        {
            "topic": name,
            "code": letter.code,
            "origin": letter.origin,
            "attempt": letter.attempt,
            "bytes": len(letter.record.value or b""),
            "reason": letter.reason,
        }
        for name, letter in letters_of(Session.here(), topic)
    ]
    show.rows("dead letters", found, as_json)


@app.command()
def replay(
    topic: str,
    code: Annotated[str, typer.Option(help="Only letters with this code.")] = "",
    yes: Annotated[bool, typer.Option("--yes", help="Send; without it only say what would be.")] = (
        False
    ),
    as_json: show.AsJson = False,
) -> None:
    """Send a topic's dead letters to it again; consumers know them by their event ids."""
    session = Session.here()
    chosen = [one for _, one in letters_of(session, topic) if not code or one.code == code]
    if yes:
        sink = KafkaSink(session.kafka())
        for letter in chosen:
            send_again(sink, topic, letter)
        sink.flush()
    row = {"topic": topic, "letters": len(chosen), "sent": len(chosen) if yes else 0}
    show.rows("replay", [row], as_json)
