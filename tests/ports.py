"""Ports for the servers that tests start themselves."""

import itertools
import os
from typing import Final

from infra.local.ports import is_free

LOWEST, COUNT = 20_000, 2_000
"""Beside what the stacks reserve, and below the kernel's range for outgoing connections: one of
those could take a port between our choice and the server's bind."""
_NEXT: Final = itertools.count(os.getpid() * 100)


def free_port() -> int:
    """On 127.0.0.1; none is given twice."""
    candidates = (LOWEST + number % COUNT for number in itertools.islice(_NEXT, COUNT))
    return next(port for port in candidates if is_free(port))
