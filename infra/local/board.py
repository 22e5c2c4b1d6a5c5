"""What every part is doing: shared by the keepers' threads, published as ``state.json``."""

import os
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, replace
from typing import Any

from infra.local.files import write_json
from infra.local.home import Home
from infra.local.process import Process, State


@dataclass(frozen=True, slots=True)
class Status:
    state: State = "stopped"
    generation: int = 0
    """Which wish (``wanted.json``) this answers; 0 is none."""
    pid: int | None = None
    since: float = 0.0
    """Unix seconds of the last change of state."""
    ready_s: float | None = None
    """How long the last start took."""
    restarts: int = 0
    why: str = ""


class Board:
    """Statuses by part; a change wakes every waiting thread and rewrites the file."""

    def __init__(self, home: Home, processes: Iterable[Process]) -> None:
        self._home = home
        self._plan = {process.name: process for process in processes}
        self._changed = threading.Condition()
        self._statuses = {name: Status() for name in self._plan}
        self._wanted: dict[str, int] = {}
        self._been_ready: set[str] = set()
        self.closing = False

    def post(self, name: str, **changes: Any) -> None:
        with self._changed:
            old = self._statuses[name]
            new = replace(old, **changes)
            if new == old:
                return
            if new.state != old.state:
                new = replace(new, since=time.time())
            if new.state == "ready":
                self._been_ready.add(name)
            self._statuses[name] = new
            self._publish()
            self._changed.notify_all()

    def want(self, wanted: dict[str, int]) -> None:
        """Part -> generation; a part that is absent is to stop."""
        with self._changed:
            self._wanted = {name: wanted[name] for name in wanted if name in self._plan}
            self._publish()
            self._changed.notify_all()

    def close(self) -> None:
        with self._changed:
            self.closing = True
            self._changed.notify_all()

    def wanted(self, name: str) -> int | None:
        return None if self.closing else self._wanted.get(name)

    def status(self, name: str) -> Status:
        return self._statuses[name]

    def missing(self, name: str) -> list[str]:
        """Needs that were never ready while this runner lived; later outages are survived."""
        return [need for need in self._plan[name].needs if need not in self._been_ready]

    def dependents_are_gone(self, name: str) -> bool:
        dependents = (process for process in self._plan.values() if name in process.needs)
        return all(self._statuses[each.name].pid is None for each in dependents)

    def wait(self, until: Callable[[], bool], within_s: float) -> bool:
        with self._changed:
            return self._changed.wait_for(until, within_s)

    def _publish(self) -> None:
        parts = {
            name: asdict(status)
            | {
                "addresses": dict(self._plan[name].addresses),
                "needs": list(self._plan[name].needs),
                "probe": asdict(self._plan[name].probe),
                "note": self._plan[name].note,
                "log": str(self._home.log(name)),
                "wanted": self._wanted.get(name),
            }
            for name, status in self._statuses.items()
        }
        write_json(self._home.state_file, {"runner": os.getpid(), "parts": parts})
