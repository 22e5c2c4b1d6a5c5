"""What a further worker makes of engines that the first process owns: it asks them, no more."""

from libs.events.topics import E, Topic
from libs.faults import Retryable
from services.inference.domain.release import Engine


class Borrowed:
    """An engine host that touches neither Triton nor files: the owner does."""

    def suits(self, digest: str, *, reuse: bool) -> bool:
        return True

    async def load(self, engine: Engine, *, reuse: bool = False) -> None:
        raise Retryable("the first process has not loaded it yet")

    async def unload(self, digest: str) -> None:
        pass

    async def present(self) -> frozenset[str]:
        return frozenset()


class Untold:
    """A journal for reports that the owner makes."""

    def append(self, topic: Topic[E], event: E) -> None:
        pass
