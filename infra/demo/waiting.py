"""What the story waits for, each with a bound."""

import asyncio
import time
from collections.abc import Callable
from typing import Final, TypeVar

from infra.demo.observe import Observer
from services.cli.reconcile import balances
from services.cli.session import Session

T = TypeVar("T")

LOOK_EVERY_S: Final = 1.0
WITHIN_S: Final = 120.0
MOST_TEXT: Final = 2000


class StoryFailedError(Exception):
    """The services did not do what the story needs."""


async def until_campaign(observer: Observer, known: set[str]) -> str:
    """The id of a campaign that was not there before."""
    while True:
        for campaign in await asyncio.to_thread(observer.campaigns):
            if campaign.campaign_id not in known:
                return str(campaign.campaign_id)
        await asyncio.sleep(LOOK_EVERY_S)


async def until_watching(observer: Observer) -> None:
    """The detector must be on guard, or its silence means nothing."""
    while True:
        found = await asyncio.to_thread(observer.signals)
        if any(one.name == "prompt_embedding" and one.phase == "watching" for one in found):
            return
        await asyncio.sleep(LOOK_EVERY_S)


async def caught_up(session: Session, topic: str) -> None:
    """Until every consumer of ``topic`` has settled all of it.

    Raises:
        StoryFailedError: they take too long; with how far each is behind.
    """
    deadline = time.monotonic() + WITHIN_S
    while time.monotonic() < deadline:
        found = await asyncio.to_thread(balances, session)
        lags = {one.consumer: one.lag for one in found if one.topic == topic}
        if lags and not any(lags.values()):
            return
        await asyncio.sleep(LOOK_EVERY_S)
    raise StoryFailedError(f"{topic}: consumers lag behind: {lags}")


async def soon(task: asyncio.Task[T], awaited: str, seen: Callable[[], object]) -> T:
    """The result of ``task``.

    Raises:
        StoryFailedError: it takes too long; with what is ``seen`` instead.
    """
    try:
        return await asyncio.wait_for(task, WITHIN_S)
    except TimeoutError as error:
        found = f"waited {WITHIN_S:.0f} s for {awaited}: {await asyncio.to_thread(seen)}"
        raise StoryFailedError(found[:MOST_TEXT]) from error
