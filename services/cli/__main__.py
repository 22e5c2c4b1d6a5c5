"""``python -m services.cli``, installed as ``perennial``."""

import sys

import grpc
from rich.console import Console
from rich.markup import escape

from libs.faults import Fatal, Poison, Retryable
from services.cli.commands import app


def main() -> None:
    """Run one command; exit 1 with one clear line when it cannot be done."""
    try:
        app()
    except grpc.RpcError as error:
        sys.exit(told(error.code().name.lower(), error.details()))
    except (Poison, Retryable, Fatal) as error:
        sys.exit(told("failed", error))


def told(what: str, why: object) -> int:
    """Says on stderr what was not done, in one line; 1."""
    Console(stderr=True, soft_wrap=True).print(f"[red]{what}[/]: {escape(str(why))}")
    return 1


if __name__ == "__main__":
    main()
