"""The local stack for code: tests, the demo and the command line start and disturb it here.

Every function takes the home directory (``None``: ``$PERENNIAL_HOME`` or ``.perennial``) and
returns when what it asked for has happened.

Raises:
    PartFailed: a part did not get ready; the message ends with the last lines of its log.
"""

import os
import signal as signals
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import psutil

from infra.local import tree
from infra.local.files import read_json, write_json
from infra.local.home import REPO, Credentials, Home
from infra.local.home import credentials as credentials_of
from infra.local.runner import RUNNER, is_running

LOOK_EVERY_S: Final = 0.1
UP_WITHIN_S: Final = 600.0
DOWN_WITHIN_S: Final = 75.0
LOG_LINES: Final = 15

Parts = Mapping[str, Mapping[str, Any]]
"""Part -> its ``board.Status`` and its addresses, probe, note and log, as in state.json."""


class PartFailed(RuntimeError):
    """A part of the stack did not get ready."""


@dataclass(frozen=True, slots=True)
class _Wish:
    """Part -> generation, as ``wanted.json`` has it."""

    home: Home

    def read(self) -> dict[str, int]:
        return dict(read_json(self.home.wanted_file) or {})

    def add(self, names: Iterable[str], *, anew: bool = False) -> dict[str, int]:
        """Wishes for ``names`` too; ``anew`` asks for a fresh start of those that run."""
        wanted = self.read()
        for name in names:
            if anew or name not in wanted:
                wanted[name] = time.time_ns()
        write_json(self.home.wanted_file, wanted)
        return wanted

    def drop(self, name: str) -> None:
        wanted = self.read()
        wanted.pop(name, None)
        write_json(self.home.wanted_file, wanted)


def up(
    home: Path | str | None = None,
    only: Iterable[str] | None = None,
    on_change: Callable[[Parts], None] | None = None,
    within_s: float = UP_WITHIN_S,
) -> dict[str, str]:
    """Starts the parts (``only`` these and what they need, else all) that do not run yet.

    Returns the endpoints. When a part fails, stops all that this call started.
    """
    place = Home.of(home)
    began_here = not is_running(place)
    if began_here:
        _begin(place)
    before = _Wish(place).read()
    names: list[str] = []
    try:
        parts = _first_state(place)
        names = _with_needs(parts, parts if only is None else only)
        wanted = _Wish(place).add(names)
        _until_ready(place, {name: wanted[name] for name in names}, on_change, within_s)
    except BaseException:
        if began_here:
            down(place.path)
        else:
            for name in set(names) - set(before):
                _Wish(place).drop(name)
        raise
    return endpoints(place.path)


def down(home: Path | str | None = None) -> int:
    """Stops everything of this home, runner or not; returns how many had to be killed."""
    place = Home.of(home)
    if place.path.is_dir():
        place.wanted_file.unlink(missing_ok=True)  # whoever waits sees that this was meant
    for runner in tree.marked(place.mark(RUNNER)):
        try:
            runner.terminate()
            runner.wait(DOWN_WITHIN_S)
        except psutil.Error:
            continue
    killed = tree.end(lambda: tree.marked(place.mark()), within_s=5.0)
    if place.path.is_dir():
        place.state_file.unlink(missing_ok=True)
    return killed


def status(home: Path | str | None = None) -> Parts:
    """What the runner last wrote; empty when nothing runs."""
    place = Home.of(home)
    if not is_running(place):
        return {}
    parts: Parts = (read_json(place.state_file) or {}).get("parts", {})
    return parts


def endpoints(home: Path | str | None = None) -> dict[str, str]:
    """Endpoint -> host:port: ``kafka``, ``s3``, ``triton``, ``registry.rpc``, ``console.http``."""
    return dict(read_json(Home.of(home).endpoints_file) or {})


def credentials(home: Path | str | None = None) -> Credentials:
    place = Home.of(home)
    place.make()
    return credentials_of(place)


def start_part(home: Path | str | None, name: str, within_s: float = UP_WITHIN_S) -> None:
    """Starts one stopped part and waits until it is ready."""
    place = Home.of(home)
    wanted = _Wish(place).add([name])
    _until_ready(place, {name: wanted[name]}, None, within_s)


def stop_part(home: Path | str | None, name: str, within_s: float = DOWN_WITHIN_S) -> None:
    """Stops one part in good order and leaves it stopped; those that need it go on."""
    place = Home.of(home)
    _Wish(place).drop(name)
    _await(lambda: status(place.path)[name]["state"] == "stopped", f"{name} to stop", within_s)


def restart(home: Path | str | None, name: str, within_s: float = UP_WITHIN_S) -> None:
    """Stops one part in good order, starts it and waits until it is ready."""
    place = Home.of(home)
    wanted = _Wish(place).add([name], anew=True)
    _until_ready(place, {name: wanted[name]}, None, within_s)


def kill(home: Path | str | None, name: str, number: int = signals.SIGKILL) -> int:
    """Sends a signal to a part's main process (not to its children); returns its pid.

    The runner starts it again; ``wait_ready`` tells when.
    """
    pid = status(home)[name]["pid"]
    if pid is None:
        raise PartFailed(f"{name} is not running")
    os.kill(pid, number)
    return int(pid)


def wait_ready(
    home: Path | str | None, name: str, not_pid: int | None = None, within_s: float = UP_WITHIN_S
) -> None:
    """Until the part is ready, as another process than ``not_pid``."""

    def again() -> bool:
        part = status(home)[name]
        return bool(part["state"] == "ready" and part["pid"] != not_pid)

    _await(again, f"{name} to be ready", within_s)


def log_tail(home: Path | str | None, name: str, lines: int = LOG_LINES) -> str:
    log = Home.of(home).log(name)
    if not log.exists():
        return ""
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - 64_000))
        return "\n".join(file.read().decode(errors="replace").splitlines()[-lines:])


def _begin(place: Home) -> None:
    """Starts a runner in its own session; it outlives us."""
    place.make()
    place.wanted_file.unlink(missing_ok=True)
    place.state_file.unlink(missing_ok=True)
    with place.log(RUNNER).open("ab") as log:
        subprocess.Popen(
            [sys.executable, "-m", "infra.local", "supervise"],
            cwd=REPO,
            env=os.environ | {"PERENNIAL_HOME": str(place.path), tree.VARIABLE: place.mark(RUNNER)},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            umask=0o077,  # of all parts: what they keep is their owner's alone
        )


def _first_state(place: Home) -> Parts:
    """The plan, as soon as the runner has written it."""
    write_json(place.wanted_file, _Wish(place).read())
    _await(lambda: bool(status(place.path)), "the runner to plan", 60.0, place)
    return status(place.path)


def _with_needs(parts: Parts, names: Iterable[str]) -> list[str]:
    chosen: list[str] = []

    def choose(name: str) -> None:
        if name not in parts:
            raise PartFailed(f"no part {name!r} here; there are {', '.join(parts)}")
        if name in chosen:
            return
        for need in parts[name]["needs"]:
            choose(need)
        chosen.append(name)

    for name in names:
        choose(name)
    return chosen


def _until_ready(
    place: Home,
    wanted: Mapping[str, int],
    on_change: Callable[[Parts], None] | None,
    within_s: float,
) -> None:
    def answers(name: str) -> Mapping[str, Any]:
        part = status(place.path).get(name, {})
        return part if part.get("generation") == wanted[name] else {}

    def settled() -> bool:
        if on_change:
            on_change(status(place.path))
        parts = {name: answers(name) for name in wanted}
        for name, part in parts.items():
            if part.get("state") == "failed":
                raise PartFailed(_failure(place, name, part["why"]))
        return all(part.get("state") == "ready" for part in parts.values())

    try:
        _await(settled, f"{', '.join(wanted)}", within_s, place)
    except TimeoutError as error:
        late = [name for name in wanted if answers(name).get("state") != "ready"]
        why = answers(late[0]).get("why", "") if late else ""
        raise PartFailed(_failure(place, late[0] if late else RUNNER, why)) from error


def _failure(place: Home, name: str, why: str) -> str:
    log = place.log(name)
    return f"{name} failed: {why}\nlast lines of {log}:\n{log_tail(place.path, name)}"


def _await(
    happened: Callable[[], bool], what: str, within_s: float, place: Home | None = None
) -> None:
    """Raises TimeoutError, or PartFailed when the runner of ``place`` has died."""
    end = time.monotonic() + within_s
    while not happened():
        if place and not is_running(place) and not status(place.path):
            if not place.wanted_file.exists():
                raise PartFailed("stopped before all was ready: `make down`, or a signal, did it")
            raise PartFailed(_failure(place, RUNNER, "the runner ended"))
        if time.monotonic() > end:
            raise TimeoutError(f"waited {within_s:.0f} s for {what}")
        time.sleep(LOOK_EVERY_S)
