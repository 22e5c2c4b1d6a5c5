"""Our services as processes: which there are, and which settings each of them gets."""

import importlib
import types
import typing
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from pydantic import BaseModel

from infra.local import triton
from infra.local.home import REPO, Credentials, Home
from infra.local.ports import Ports
from infra.local.process import Probe, Process

SERVICES: Final = (
    "registry",
    "ingest",
    "preprocessing",
    "trainer",
    "evaluation",
    "inference",
    "monitor",
    "feedback",
    "console",
)
DOORS: Final = ("rpc", "http", "ops")
FIRST_PORT: Final = 7010
"""Service i, door j usually listens on FIRST_PORT + 10 i + j."""

Declared = Mapping[str, Any]
"""Setting -> its type."""
Offer = str | Mapping[str, str]
"""A plain setting, or the settings of one section."""


@dataclass(slots=True)
class Surroundings:
    """What all services share."""

    home: Home
    credentials: Credentials
    brokers: str
    idempotence: bool
    s3: str
    triton: str = ""
    doors: dict[str, str] = field(default_factory=dict)
    """``registry.rpc`` -> host:port."""


def services(around: Surroundings, ports: Ports) -> list[Process]:
    """One process for each service whose package exists."""
    declared: dict[str, Declared] = {}
    broken: list[Process] = []
    for name in SERVICES:
        if not (REPO / "services" / name / "compose.py").exists():
            continue
        try:
            declared[name] = _declared(name)
        except Exception as error:
            broken.append(_broken(name, error))
    for name in declared:
        for door in DOORS:
            if door in declared[name]:
                usual = FIRST_PORT + 10 * SERVICES.index(name) + DOORS.index(door)
                around.doors[f"{name}.{door}"] = f"127.0.0.1:{ports(f'{name}.{door}', usual)}"
    return [_process(name, declared[name], around) for name in declared] + broken


def offers(name: str, around: Surroundings) -> dict[str, Offer]:
    """THE table: every setting that the local stack can give service ``name``."""
    home, keys = around.home, around.credentials
    doors: dict[str, Offer] = {
        door: {"port": around.doors[f"{name}.{door}"].rpartition(":")[2]}
        for door in DOORS
        if f"{name}.{door}" in around.doors
    }
    return doors | {
        "kafka": {"brokers": around.brokers, "idempotence": str(around.idempotence).lower()},
        "s3": {
            "endpoint": around.s3,
            "access_key": keys.s3_access_key,
            "secret_key": keys.s3_secret_key,
            "bucket": "perennial",
        },
        "sql": {"url": f"sqlite:///{home.path}/sql/{name}.db"},
        "operator_token": keys.operator_token,
        "state_dir": str(home.path / "services" / name),
        "triton": {
            "address": around.triton,
            "repository_token": keys.triton_repository_token,
            "model_repository": str(triton.models(home)),
            "templates": str(triton.TEMPLATES / "llm"),
        },
        "model_python": str(triton.VENV / "bin" / "python"),
        "base_model": str(REPO / ".build" / "base-model"),
        "endpoints_file": str(home.endpoints_file),
    }


def _process(name: str, declared: Declared, around: Surroundings) -> Process:
    environment = dict(_variables(declared, offers(name, around)))
    addresses = {k: v for k, v in around.doors.items() if k.startswith(f"{name}.")}

    def prepare() -> None:
        (around.home.path / "sql").mkdir(exist_ok=True)
        (around.home.path / "services" / name).mkdir(parents=True, exist_ok=True)

    return Process(
        name=name,
        command=(str(REPO / ".venv/bin/python"), "-m", f"services.{name}"),
        environment=environment | {"PYTHONUNBUFFERED": "1"},
        probe=Probe("http", addresses[f"{name}.ops"], "/readyz"),
        addresses=addresses,
        needs=(
            *(("topics",) if "kafka" in declared else ()),
            *(("s3",) if "s3" in declared else ()),
        ),
        prepare=prepare,
        ready_within_s=180,
    )


def _broken(name: str, error: Exception) -> Process:
    """A service whose settings cannot be read: it fails when asked for, the rest can run."""

    def refuse() -> None:
        raise RuntimeError(f"services.{name}.config: {error}")

    return Process(name=name, command=(), probe=Probe("exit"), prepare=refuse)


def _declared(name: str) -> Declared:
    """Setting -> its type, from the service's own ``Settings``: unknown variables are refused
    there, so nothing else is passed."""
    settings = importlib.import_module(f"services.{name}.config").Settings
    return {key: value.annotation for key, value in settings.model_fields.items()}


def _variables(declared: Declared, offered: Mapping[str, Offer]) -> Iterator[tuple[str, str]]:
    for name, annotation in declared.items():
        offer = offered.get(name)
        if offer is None:
            continue
        if isinstance(offer, str):
            yield f"PERENNIAL_{name.upper()}", offer
            continue
        section = _section(annotation)
        for key, value in offer.items():
            if section is None or key in section.model_fields:
                yield f"PERENNIAL_{name.upper()}__{key.upper()}", value


def _section(annotation: Any) -> type[BaseModel] | None:
    """The model class of ``Section`` or ``Section | None``."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    if isinstance(annotation, types.UnionType) or typing.get_origin(annotation) is typing.Union:
        return next(filter(None, map(_section, typing.get_args(annotation))), None)
    return None
