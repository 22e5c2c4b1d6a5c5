"""Clients that leave or stop reading."""

import asyncio
from collections.abc import Coroutine, MutableMapping
from typing import Any, Final, TypeVar

from starlette.types import Receive, Send

CLIENT_GONE: Final = 499
LOOK_S: Final = 0.02
"""What is answered sooner is not worth a look at whether its client is still there."""
SEND_S: Final = 30.0
"""A client that takes nothing for so long is gone."""
T = TypeVar("T")


async def unless_gone(receive: Receive, work: Coroutine[Any, Any, T]) -> T | None:
    """What ``work`` gives; None when the client left, which cancels the work at once.

    The request's body has been read: what is received next is the client's leaving.
    """
    task, left = asyncio.current_task(), False
    gone: asyncio.Future[Any] | None = None
    assert task is not None

    def leave(_: object) -> None:
        nonlocal left
        left = True
        task.cancel()

    def look() -> None:
        nonlocal gone
        gone = leaving = asyncio.ensure_future(receive())
        leaving.add_done_callback(leave)

    later = asyncio.get_running_loop().call_later(LOOK_S, look)
    try:
        return await work
    except ConnectionError:  # it does not read on
        return None
    except asyncio.CancelledError:
        if left and task.uncancel() == 0:
            return None
        raise
    finally:
        later.cancel()
        if gone is not None:
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
