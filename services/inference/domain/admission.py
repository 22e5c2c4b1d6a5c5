"""How many requests may be answered at once."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass(slots=True)
class Admission:
    """Counts requests under way against ``most``."""

    most: int
    under_way: int = 0

    def full(self) -> bool:
        return self.under_way >= self.most

    @contextmanager
    def seat(self) -> Iterator[None]:
        """Hold a place for one request."""
        self.under_way += 1
        try:
            yield
        finally:
            self.under_way -= 1
