"""The local stack keeps its word: it starts, survives kills, and leaves nothing behind."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from infra.local import stack, tree
from infra.local.home import Home
from infra.local.probes import unready
from infra.local.process import Probe
from infra.local.runner import RUNNER
from tests.waiting import eventually


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "stack"
    stack.down(tmp_path / "stack")


def processes(home: Path) -> list[psutil.Process]:
    return tree.marked(Home.of(home).mark())


def test_a_part_that_is_up_answers_at_its_endpoint_and_down_leaves_no_process(home: Path) -> None:
    endpoints = stack.up(home, only=["s3"])
    answer = unready(Probe("http", endpoints["s3"], accepts=(403,)))

    stack.down(home)

    assert answer is None
    assert processes(home) == []


def test_credentials_can_be_read_by_their_owner_only(home: Path) -> None:
    stack.up(home, only=["s3"])

    secret_files = [home / "credentials.json", home / "s3" / "identities.json"]

    assert [file.stat().st_mode & 0o777 for file in secret_files] == [0o600, 0o600]


def test_a_killed_part_is_started_again_on_the_same_address(home: Path) -> None:
    before = stack.up(home, only=["s3"])

    killed = stack.kill(home, "s3")
    stack.wait_ready(home, "s3", not_pid=killed, within_s=30)

    assert stack.endpoints(home) == before
    assert unready(Probe("http", before["s3"], accepts=(403,))) is None


def test_a_stopped_part_stays_stopped_until_it_is_started(home: Path) -> None:
    stack.up(home, only=["s3"])

    stack.stop_part(home, "s3")
    stopped = stack.status(home)["s3"]["pid"]
    stack.start_part(home, "s3")

    assert stopped is None
    assert stack.status(home)["s3"]["state"] == "ready"


def test_what_a_killed_runner_left_is_found_by_the_next_up(home: Path) -> None:
    stack.up(home, only=["s3"])
    left = stack.status(home)["s3"]["pid"]
    runner = tree.marked(Home.of(home).mark(RUNNER))[0]
    runner.kill()
    eventually(lambda: not stack.status(home), within_s=20)

    stack.up(home, only=["s3"])

    assert not psutil.pid_exists(left) or psutil.Process(left).status() == psutil.STATUS_ZOMBIE
    assert len(tree.marked(Home.of(home).mark("s3"))) == 1


def test_what_a_killed_runner_left_is_ended_by_down(home: Path) -> None:
    stack.up(home, only=["s3"])
    for runner in tree.marked(Home.of(home).mark(RUNNER)):
        os.kill(runner.pid, signal.SIGKILL)

    stack.down(home)

    assert processes(home) == []


def test_two_stacks_run_side_by_side(home: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    try:
        first, second = stack.up(home, only=["s3"]), stack.up(other, only=["s3"])

        stack.down(home)

        assert not set(first.values()) & set(second.values())
        assert unready(Probe("http", second["s3"], accepts=(403,))) is None
    finally:
        stack.down(other)


def test_an_unknown_part_is_named_with_those_there_are(home: Path) -> None:
    with pytest.raises(stack.PartFailed, match=r"no part 'kafak' here; there are .*kafka"):
        stack.up(home, only=["kafak"])

    assert processes(home) == []


def test_an_up_that_is_stopped_meanwhile_says_so(home: Path) -> None:
    def stop(parts: stack.Parts) -> None:
        if parts["s3"]["state"] == "starting":
            stack.down(home)

    with pytest.raises(stack.PartFailed, match="stopped before all was ready"):
        stack.up(home, only=["s3"], on_change=stop)
