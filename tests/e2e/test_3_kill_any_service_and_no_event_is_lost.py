"""kill -9 of one service while requests flow: every answer's event and feedback is there after."""

import time
from itertools import islice
from pathlib import Path

import pytest

from infra.demo import data
from infra.demo.data import Pair
from infra.demo.observe import Observer
from infra.demo.traffic import Asked, Users, draws
from infra.local import stack
from libs.events.topics import FEEDBACK_JOINED, GENERATION_SERVED
from services.cli.session import Session
from tests.e2e.conftest import eventually, lag

REQUESTS = 24
OFF_THE_PATH = ("monitor", "registry", "ingest", "preprocessing", "trainer", "evaluation")


async def traffic(
    session: Session, application: str, bank: list[Pair], at: int, kill: object
) -> list[Asked]:
    """``REQUESTS`` rated requests; ``kill`` is called after the ``at``-th answer."""
    users = Users(session, application)
    live = [pair for pair in bank if data.is_live(pair)]

    def heard(_: Asked) -> None:
        if len(users.log.asked) == at:
            kill()  # type: ignore[operator]

    try:
        await users.ask(islice(draws("kill", live), REQUESTS), correct=False, heard=heard)
    finally:
        await users.close()
    return users.log.asked


def generations(session: Session, application: str) -> list[str]:
    events = Observer(session, application).events(GENERATION_SERVED)
    return [delivery.event.generation_id for delivery in events]


def rated(session: Session, application: str) -> set[str]:
    events = Observer(session, application).events(FEEDBACK_JOINED)
    return {delivery.event.generation_id for delivery in events}


@pytest.mark.parametrize("service", OFF_THE_PATH)
async def test_a_service_off_the_request_path_costs_no_request_and_no_event(
    service: str, home: Path, session: Session, served: str, bank: list[Pair]
) -> None:
    pids: list[int] = []

    asked = await traffic(session, served, bank, 5, lambda: pids.append(stack.kill(home, service)))

    stack.wait_ready(home, service, not_pid=pids[0])
    assert [one.error for one in asked if one.error] == []
    wanted = {one.generation_id for one in asked}
    eventually(lambda: wanted <= set(generations(session, served)), "every answer's event")
    eventually(lambda: wanted <= rated(session, served), "every rating, joined")
    eventually(lambda: lag(session, GENERATION_SERVED.name) == 0, "consumers to catch up")


@pytest.mark.parametrize("service", ["inference", "feedback"])
async def test_what_was_answered_and_rated_before_a_crash_is_not_lost(
    service: str, home: Path, session: Session, served: str, bank: list[Pair]
) -> None:
    pids: list[int] = []

    asked = await traffic(session, served, bank, 10, lambda: pids.append(stack.kill(home, service)))

    stack.wait_ready(home, service, not_pid=pids[0])
    answered = {one.generation_id for one in asked if not one.error}
    assert answered
    eventually(lambda: answered <= set(generations(session, served)), "every answer's event")
    eventually(lambda: answered <= rated(session, served), "every accepted rating, joined")


async def test_requests_are_answered_while_kafka_is_down_and_their_events_arrive_after(
    home: Path, session: Session, served: str, bank: list[Pair]
) -> None:
    users = Users(session, served)
    live = [pair for pair in bank if data.is_live(pair)]
    stack.stop_part(home, "kafka")
    stopped = time.monotonic()
    answers = []
    for number, pair in enumerate(draws("away", live)):
        if time.monotonic() - stopped > 20 and number >= 10:
            break
        way = users._by_grpc if number % 2 else users._by_http
        answers.append((await way(pair.question, {"episode_id": f"away-{number}"}))[0])
    stack.start_part(home, "kafka")
    await users.close()

    assert len(answers) >= 10
    eventually(
        lambda: set(answers) <= set(generations(session, served)), "the events of the outage", 240
    )
    eventually(lambda: lag(session, GENERATION_SERVED.name) == 0, "consumers to catch up", 240)
