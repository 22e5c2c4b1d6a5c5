"""``python -m services.cli``, installed as ``perennial``."""

import sys

import grpc
from rich.console import Console

from libs.faults import Fatal, Poison, Retryable
from services.cli.commands import app


def main() -> None:
    """Run one command; exit 1 with one clear line when it cannot be done."""
    problem = Console(stderr=True)
    try:
        app()
    except grpc.RpcError as error:
        problem.print(f"[red]{error.code().name.lower()}[/]: {error.details()}")
        sys.exit(1)
    except (Poison, Retryable, Fatal) as error:
        problem.print(f"[red]failed[/]: {error}")
        sys.exit(1)


if __name__ == "__main__":
    main()
