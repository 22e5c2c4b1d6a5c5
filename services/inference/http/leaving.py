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
    task, left = asyncio.current_task(), False
    assert task is not None

    def leave(_: object) -> None:
        nonlocal left
        left = True
        task.cancel()

    gone = asyncio.ensure_future(receive())
    gone.add_done_callback(leave)
    try:
        return await work
    except ConnectionError:  # it does not read on
        return None
    except asyncio.CancelledError:
        if left and task.uncancel() == 0:
            return None
        raise
    finally:
        gone.remove_done_callback(leave)
        gone.cancel()


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
