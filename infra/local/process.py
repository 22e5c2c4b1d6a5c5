"""What the runner runs: a command, what it needs first, and how to see that it is ready."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

State = Literal["waiting", "starting", "ready", "restarting", "stopping", "failed", "stopped"]


@dataclass(frozen=True, slots=True)
class Probe:
    """How readiness is seen.

    ``http``: GET http://address/path answers with one of ``accepts``; ``kafka``: the broker lists
    its topics; ``grpc``: grpc.health.v1 says SERVING; ``exit``: the command ended with status 0.
    """

    kind: Literal["http", "kafka", "grpc", "exit"]
    address: str = ""
    path: str = "/"
    accepts: tuple[int, ...] = (200,)


def nothing() -> None:
    """A process without preparation."""


@dataclass(frozen=True, slots=True)
class Process:
    name: str
    command: tuple[str, ...]
    probe: Probe
    environment: Mapping[str, str] = field(default_factory=dict)
    addresses: Mapping[str, str] = field(default_factory=dict)
    """Endpoint name -> host:port, as written to endpoints.json."""
    needs: tuple[str, ...] = ()
    prepare: Callable[[], None] = nothing
    """Runs before every start."""
    directory: Path | None = None
    ready_within_s: float = 90.0
    stop_within_s: float = 15.0
    note: str = ""
    """What the status table says beside it."""
