"""Every service gets exactly the settings that it declares, and can start with them."""

import importlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.local.home import Credentials, Home
from infra.local.ports import Ports
from infra.local.services import Surroundings, services


@pytest.fixture
def around(tmp_path: Path) -> Surroundings:
    keys = Credentials(*(letter * 40 for letter in "abcd"))
    home = Home(tmp_path)
    return Surroundings(home, keys, "127.0.0.1:9092", True, "127.0.0.1:8333", "127.0.0.1:8001")


@pytest.fixture
def ports(around: Surroundings) -> Iterator[Ports]:
    with Ports.of(around.home) as reserved:
        yield reserved


def names() -> list[str]:
    return sorted(path.parent.name for path in Path("services").glob("*/compose.py"))


@pytest.mark.parametrize("name", names())
def test_a_service_reads_its_settings_from_what_the_stack_gives_it(
    name: str, around: Surroundings, ports: Ports, monkeypatch: pytest.MonkeyPatch
) -> None:
    process = next(one for one in services(around, ports) if one.name == name)
    for variable in [key for key in os.environ if key.startswith("PERENNIAL_")]:
        monkeypatch.delenv(variable)
    for variable, value in process.environment.items():
        monkeypatch.setenv(variable, value)

    settings = importlib.import_module(f"services.{name}.config").Settings()

    assert f"127.0.0.1:{settings.ops.port}" == process.addresses[f"{name}.ops"]


def test_no_two_doors_share_an_address(around: Surroundings, ports: Ports) -> None:
    processes = services(around, ports)

    addresses = [address for process in processes for address in process.addresses.values()]

    assert len(set(addresses)) == len(addresses)


def test_secrets_are_given_to_those_that_declare_them_only(
    around: Surroundings, ports: Ports
) -> None:
    processes = {process.name: process for process in services(around, ports)}

    assert "PERENNIAL_OPERATOR_TOKEN" not in processes["ingest"].environment
    assert "PERENNIAL_TRITON__REPOSITORY_TOKEN" not in processes["registry"].environment
