"""The compose check refuses what it is there to refuse."""

from pathlib import Path

import pytest

from infra.docker.compose_check import faults

GOOD = """
services:
  one:
    image: a/b:1
    ports: ["127.0.0.1:80:80"]
    environment: {TOKEN: "${TOKEN:?set it}"}
"""


def test_our_own_file_is_good() -> None:
    assert faults(Path("docker-compose.yml").read_text()) == []


def test_a_small_good_file_is_good() -> None:
    assert faults(GOOD) == []


@pytest.mark.parametrize(
    ("was", "becomes", "fault"),
    [
        ("image:", "imgae:", "imgae"),
        ("a/b:1", "[1]", "expected a string"),
        ('"127.0.0.1:80:80"', '"80:80"', "not on 127.0.0.1"),
        ("${TOKEN:?set it}", "${TOKEN:-weak}", "a secret is required"),
        ("${TOKEN:?set it}", "${TOKEN}", "a secret is required"),
        ("services:", "services: [", "flow"),
    ],
)
def test_a_fault_is_named(was: str, becomes: str, fault: str) -> None:
    found = faults(GOOD.replace(was, becomes))

    assert any(fault in each for each in found), found
