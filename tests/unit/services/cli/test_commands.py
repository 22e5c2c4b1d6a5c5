"""What `perennial` says of itself, and of a service that it cannot run."""

import pytest
from typer.testing import CliRunner

from libs.faults import Poison
from services.cli.commands import app


def test_a_service_that_is_not_there_is_named_with_those_that_are() -> None:
    ended = CliRunner().invoke(app, ["run", "nope"])

    with pytest.raises(Poison, match=r"no service 'nope'; there are .*registry"):
        raise ended.exception or AssertionError
