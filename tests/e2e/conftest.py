"""One whole stack for the session, and one application with a champion in it."""

import time
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

import pytest

from infra.demo import data
from infra.demo.data import Pair
from infra.demo.observe import ENDED, Observer
from infra.demo.operator import Operator
from infra.demo.scale import QUICK
from infra.local import stack
from infra.local.home import REPO, Home
from libs.faults import Retryable
from services.cli.reconcile import balances
from services.cli.session import Session

HOME = REPO / ".perennial-e2e"
APPLICATION = f"served-{int(time.time()):x}"


def eventually(true: Callable[[], bool], awaited: str, within_s: float = 120) -> None:
    """Poll until ``true``; on time-out say what was awaited. A broker may be away meanwhile."""

    def happened() -> bool:
        try:
            return true()
        except Retryable:
            return False

    deadline = time.monotonic() + within_s
    while not happened():
        assert time.monotonic() < deadline, f"not within {within_s} s: {awaited}"
        time.sleep(0.5)


@pytest.fixture(scope="session")
def home() -> Iterator[Path]:
    """A running stack of its own; another one may run beside it."""
    path = Home.of(HOME).path
    try:
        stack.up(path)
        yield path
    finally:
        stack.down(path)


@pytest.fixture(scope="session")
def session(home: Path) -> Session:
    return Session(home)


@pytest.fixture(scope="session")
def bank() -> list[Pair]:
    return data.ordered(data.bank_pairs(data.SITE_PACKAGES), "bank")


@pytest.fixture(scope="session")
def declared(session: Session, bank: list[Pair]) -> str:
    """An application with an API key and rows, without a release."""
    operator = Operator(session, APPLICATION)
    operator.declare(QUICK)
    pairs = islice((pair for pair in bank if not data.is_live(pair)), 160)
    answer = operator.upload(pairs)
    assert (answer.accepted, answer.rejected) == (160, 0)
    eventually(lambda: lag(session, "ingest.record-received.v1") == 0, "rows to be prepared")
    return APPLICATION


@pytest.fixture(scope="session")
def served(session: Session, declared: str) -> str:
    """The application with its first release in front of the traffic."""
    run_campaign(session, declared)
    Operator(session, declared).await_answers("Hello")
    return declared


def lag(session: Session, topic: str) -> int:
    """Records of a topic that some consumer has not settled; -1 while none consumes it."""
    found = [one.lag for one in balances(session) if one.topic == topic]
    return sum(found) if found else -1


def run_campaign(session: Session, application: str) -> None:
    """Start a campaign and wait until it is promoted."""
    observer = Observer(session, application)
    campaign = Operator(session, application).start("", "end-to-end test")
    eventually(lambda: observer.campaign(campaign).state in ENDED, "the campaign to end", 900)
    ended = observer.campaign(campaign)
    assert ended.state == "promoted", ended.outcome_reason
