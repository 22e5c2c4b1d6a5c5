"""What `perennial` says of itself, of a service that it cannot run, and of what is declared."""

import json
import re
import tomllib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import pytest
from typer.testing import CliRunner

from libs.faults import Poison
from libs.rpc.auth import digest
from protos.registry.v1 import registry_service_pb2 as messages
from protos.registry.v1.application_pb2 import Application
from protos.registry.v1.registry_events_pb2 import ApplicationApplied
from protos.registry.v1.registry_service_pb2_grpc import (
    RegistryServiceServicer,
    add_RegistryServiceServicer_to_server,
)
from services.cli.applications import read_application
from services.cli.commands import app
from services.cli.session import REPOSITORY


class Registry(RegistryServiceServicer):
    """Two applications, one to a page."""

    def ListApplications(
        self, request: messages.ListApplicationsRequest, context: grpc.ServicerContext
    ) -> messages.ListApplicationsResponse:
        name = "shop" if request.page_token else "bank"
        application = Application(name=name, prompt_template="Q: {{ question }}")
        return messages.ListApplicationsResponse(
            applications=[ApplicationApplied(application=application, revision=3)],
            next_page_token="" if request.page_token else "2",
        )

    def CreateApiKey(
        self, request: messages.CreateApiKeyRequest, context: grpc.ServicerContext
    ) -> messages.CreateApiKeyResponse:
        return messages.CreateApiKeyResponse(api_key="pk-new")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The stack of this test: a registry."""
    server = grpc.server(ThreadPoolExecutor(max_workers=1))
    add_RegistryServiceServicer_to_server(Registry(), server)  # type: ignore[abstract]  # what is asked here
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    (tmp_path / "endpoints.json").write_text(json.dumps({"registry.rpc": f"127.0.0.1:{port}"}))
    monkeypatch.delenv("PERENNIAL_ENDPOINTS_FILE", raising=False)
    monkeypatch.setenv("PERENNIAL_HOME", str(tmp_path))
    monkeypatch.setenv("PERENNIAL_OPERATOR_TOKEN", "an-operator-token-of-the-test")
    yield tmp_path
    server.stop(None).wait()


def test_the_wheel_finds_its_version_where_the_command_has_it() -> None:
    hatch = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["tool"]["hatch"]["version"]
    found = re.search(hatch["pattern"], (REPOSITORY / hatch["path"]).read_text())

    assert found is not None
    assert CliRunner().invoke(app, ["--version"]).stdout.strip() == found["version"]


def test_all_pages_of_applications_are_listed(home: Path) -> None:
    listed = json.loads(CliRunner().invoke(app, ["applications", "--json"]).stdout)

    assert [each["application"]["name"] for each in listed] == ["bank", "shop"]


def test_what_is_shown_of_an_application_can_be_applied(home: Path) -> None:
    shown = CliRunner().invoke(app, ["applications", "shop"]).stdout
    (home / "shop.yaml").write_text(shown)

    expected = Application(name="shop", prompt_template="Q: {{ question }}")
    assert read_application(home / "shop.yaml") == expected


def test_a_new_key_that_replaces_a_kept_one_tells_how_that_is_revoked(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.cli.upload.await_key", lambda *_: None)
    first = CliRunner().invoke(app, ["key", "create", "-a", "bank"])
    second = CliRunner().invoke(app, ["key", "create", "-a", "bank"])

    assert "revoke" not in first.stderr
    assert f"perennial key revoke -a bank {digest('pk-new')[:12]}" in second.stderr


def test_a_service_that_is_not_there_is_named_with_those_that_are() -> None:
    ended = CliRunner().invoke(app, ["run", "nope"])

    with pytest.raises(Poison, match=r"no service 'nope'; there are .*registry"):
        raise ended.exception or AssertionError
