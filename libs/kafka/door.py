"""How long a caller at a door waits for the log, however many wait."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import Final

from libs.faults import Retryable

DOOR_DELIVERY_S: Final = 8.0
"""Until a record that a caller waits for is given up."""
DOOR_S: Final = 10.0
"""Above that: a caller without a thread waits no longer either."""
_THREADS: Final = ThreadPoolExecutor(max_workers=8, thread_name_prefix="door")
"""For nothing else: no other work waits behind a log that hangs, nor counts as its time."""


async def acknowledged(put: Callable[[], None], within_s: float) -> None:
    """Runs ``put``, which blocks until the log has what it sends, in a thread.

    Raises:
        Retryable: as ``put`` does, or after ``within_s``. Its records may still come to stand
            on the log.
    """
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(within_s):
            await loop.run_in_executor(_THREADS, copy_context().run, put)
    except TimeoutError as error:
        raise Retryable("the log does not answer: send the same again later") from error
