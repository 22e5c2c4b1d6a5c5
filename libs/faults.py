"""The whole error taxonomy.

Any other exception is a bug and stops the process. Each door maps these once:
`libs.kafka.consumer`, `libs.rpc.status`, `libs.http.app`.
"""

from typing import Final

NOT_FOUND: Final = "not_found"
UNAUTHENTICATED: Final = "unauthenticated"
ALREADY_EXISTS: Final = "already_exists"
RESOURCE_EXHAUSTED: Final = "resource_exhausted"
FAILED_PRECONDITION: Final = "failed_precondition"


class Retryable(Exception):
    """The same call may succeed later: a store, a broker or a model is away."""

    def __init__(self, message: str, *, after_s: float | None = None) -> None:
        super().__init__(message)
        self.after_s = after_s


class StoreAway(Retryable):
    """The store that this process keeps its state in: what fails for one input fails for all."""


class Poison(Exception):
    """This input will never succeed. ``code`` is a constant that a program can act on,
    ``param`` the part of the request that is wrong, where one is."""

    def __init__(self, message: str, *, code: str, param: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.param = param


class Fatal(Exception):
    """The process cannot keep its promises and must stop before it commits anything."""
