"""The journal over the spool: an event is in a file when `append` returns."""

from collections.abc import Callable
from dataclasses import dataclass

import structlog

from libs.events import codec
from libs.events.headers import new_event_id
from libs.events.topics import E, Topic
from libs.runtime import metrics
from services.inference.adapters.spool import Spool
from services.inference.ports import Entry, SpoolFull

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class SpoolJournal:
    """``appended`` is called after each event that was kept. An answer outranks its event:
    what the spool cannot keep is counted lost, and the request goes on."""

    spool: Spool
    appended: Callable[[], None]

    def append(self, topic: Topic[E], event: E) -> None:
        entry = Entry(topic.name, new_event_id(), codec.encode(event))
        try:
            self.spool.append(entry)
        except SpoolFull:
            metrics.EVENTS_LOST.labels(topic.name, "spool_full").inc()
        except OSError as error:
            metrics.EVENTS_LOST.labels(topic.name, "disk").inc()
            log.error("event.lost", topic=topic.name, error=str(error))
        else:
            self.appended()
