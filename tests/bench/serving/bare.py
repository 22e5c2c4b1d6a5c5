"""Our gateway without its journal: what an event for each answer costs is the difference."""

from libs.events.topics import E, Topic
from libs.runtime.service import run
from services.inference import compose


class Forgetful:
    """A journal that keeps nothing."""

    def __init__(self, *_: object) -> None:
        pass

    def append(self, topic: Topic[E], event: E) -> None:
        pass


if __name__ == "__main__":
    setattr(compose, "SpoolJournal", Forgetful)  # noqa: B010  # a bench, not the product
    run(compose.build)
