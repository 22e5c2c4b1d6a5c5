"""One part's life: wait for its needs, start, probe until ready, watch, restart with back-off."""

import os
import signal
import subprocess
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from infra.local import tree
from infra.local.board import Board
from infra.local.home import REPO, Home
from infra.local.probes import unready
from infra.local.process import Process

LOOK_EVERY_S: Final = 0.3
FIRST_STARTS: Final = 3
"""A part that was never ready is given up after so many starts; afterwards it is restarted for
ever, for then its configuration is known to be good."""
BACK_OFF_S: Final = (0.0, 1.0, 2.0, 5.0, 10.0)
"""Before another start, by crashes in a row: after a steady time, at once."""
STEADY_AFTER_S: Final = 60.0


@dataclass(slots=True)
class Keeper:
    process: Process
    home: Home
    board: Board
    crashes: int = 0
    """In a row, without a steady time between."""
    been_ready: bool = False

    def run(self) -> None:
        """Until the board is closing."""
        name = self.process.name
        while not self.board.closing:
            generation = self.board.wanted(name)
            if generation is None:
                self._rest(None)
            elif missing := self.board.missing(name):
                why = f"needs {', '.join(missing)}"
                self.board.post(name, state="waiting", generation=generation, why=why)
                self.board.wait(lambda: not self.board.missing(name), LOOK_EVERY_S)
            else:
                self._live(generation)

    def _rest(self, generation: int | None) -> None:
        """Nothing to do until the wish changes."""
        name = self.process.name
        if generation is None:
            self.board.post(name, state="stopped", generation=0, pid=None, why="")
        board = self.board
        while not board.wait(lambda: board.closing or board.wanted(name) != generation, 60.0):
            continue

    def _live(self, generation: int) -> None:
        """One start, to its end: an exit, a failure to get ready, or another wish."""
        name = self.process.name
        self.board.post(name, state="starting", generation=generation, why="")
        tree.end(lambda: tree.marked(self.home.mark(name)), within_s=0.2)
        try:
            self.process.prepare()
            child = self._start()
        except Exception as error:
            return self._failed(generation, f"{type(error).__name__}: {error}")
        began = time.monotonic()
        self.board.post(name, pid=child.pid)
        why = self._get_ready(child, generation, began)
        if why is None and self.process.probe.kind == "exit":
            self.board.post(name, pid=None)
            return self._rest(generation)
        if why is None:
            why = self._watch(child, generation)
        self._stop(child)
        if why:
            self._failed(generation, why)
        return None

    def _get_ready(self, child: "subprocess.Popen[bytes]", wish: int, began: float) -> str | None:
        """``None`` once ready; "" when no longer wanted; else why it is not."""
        name, why = self.process.name, "not asked yet"
        while time.monotonic() - began < self.process.ready_within_s:
            if self.board.wanted(name) != wish:
                return ""
            code = child.poll()
            if self.process.probe.kind == "exit":
                answer = None if code == 0 else "still running"
            else:
                answer = unready(self.process.probe)
            if code is not None and answer is not None:
                return f"ended with status {code} before it was ready"
            if answer is None and child.poll() in (None, 0):
                self.been_ready = True
                taken = round(time.monotonic() - began, 1)
                self.board.post(name, state="ready", ready_s=taken, why="")
                return None
            why = answer or why
            self.board.wait(lambda: self.board.wanted(name) != wish, LOOK_EVERY_S)
        return f"not ready within {self.process.ready_within_s:.0f} s: {why}"

    def _watch(self, child: "subprocess.Popen[bytes]", wish: int) -> str:
        """ "" when no longer wanted; else how it ended."""
        name, began = self.process.name, time.monotonic()
        while child.poll() is None:
            if self.crashes and time.monotonic() - began > STEADY_AFTER_S:
                self.crashes = 0
            if self.board.wait(lambda: self.board.wanted(name) != wish, LOOK_EVERY_S):
                return ""
        return f"ended with status {child.returncode}"

    def _failed(self, generation: int, why: str) -> None:
        """Waits before the next start, or gives up."""
        name = self.process.name
        self.crashes += 1
        restarts = self.board.status(name).restarts + 1
        if not self.been_ready and self.crashes >= FIRST_STARTS:
            self.crashes = 0
            self.board.post(name, state="failed", pid=None, why=why)
            return self._rest(generation)
        self.board.post(name, state="restarting", pid=None, restarts=restarts, why=why)
        pause = BACK_OFF_S[min(self.crashes, len(BACK_OFF_S)) - 1]
        self.board.wait(lambda: self.board.wanted(name) != generation, pause)
        return None

    def _start(self) -> "subprocess.Popen[bytes]":
        log = self.home.log(self.process.name)
        with log.open("ab") as output:
            output.write(f"--- start {time.strftime('%Y-%m-%dT%H:%M:%S%z')}\n".encode())
            output.flush()
            return subprocess.Popen(  # noqa: S603
                self.process.command,
                env=self._environment(),
                cwd=self.process.directory or REPO,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def _environment(self) -> dict[str, str]:
        """Ours without any ``PERENNIAL_*``, plus the part's own and the mark."""
        inherited = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith("PERENNIAL_") and name != "PYTHONDONTWRITEBYTECODE"
        }
        return (
            inherited
            | dict(self.process.environment)
            | {tree.VARIABLE: self.home.mark(self.process.name)}
        )

    def _stop(self, child: "subprocess.Popen[bytes]") -> None:
        """After those that need it, when all is closing; the whole tree, whatever it spawned."""
        name = self.process.name
        self.board.post(name, state="stopping")
        if self.board.closing:
            self.board.wait(lambda: self.board.dependents_are_gone(name), 30.0)
        with suppress(ProcessLookupError):
            child.send_signal(signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            child.wait(self.process.stop_within_s)
        tree.end(lambda: tree.marked(self.home.mark(name)), within_s=1.0)
        with suppress(subprocess.TimeoutExpired):
            child.wait(5.0)  # reaps it
        self.board.post(name, pid=None)
