"""Clients that leave or stop reading."""

import asyncio
from collections.abc import Coroutine, MutableMapping
from typing import Any, Final, TypeVar

from starlette.types import Receive, Send

CLIENT_GONE: Final = 499
SEND_S: Final = 30.0
"""A client that takes nothing for so long is gone."""
T = TypeVar("T")


async def unless_gone(receive: Receive, work: Coroutine[Any, Any, T]) -> T | None:
    """What ``work`` gives; None when the client left, which cancels the work at once.

    The request's body has been read: what is received next is the client's leaving.
    """
    task = asyncio.create_task(work)
    gone = asyncio.ensure_future(receive())
    ends: set[asyncio.Future[Any]] = {task, gone}
    try:
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        return task.result() if task.done() else None
    except ConnectionError:  # it does not read on
        return None
    finally:
        gone.cancel()
        if not task.done():
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def sent_in_time(send: Send, message: MutableMapping[str, Any]) -> None:
    """Send.

    Raises:
        ConnectionError: the client has taken nothing for `SEND_S`.
    """
    try:
        async with asyncio.timeout(SEND_S):
            await send(message)
    except TimeoutError as error:
        raise ConnectionResetError("the client does not read") from error
