"""Ports on 127.0.0.1: the usual ones where they are free, else last time's, else others.

A stack allots the ports of all its parts at once but may start few of them, and a port that nobody
listens on yet looks free to the stack beside it. So each stack reserves what it may allot: it
listens on a guard port per reserved block, and the kernel frees that however the runner ends.
"""

import hashlib
import socket
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, Self

import psutil

from infra.local.files import read_json, write_json
from infra.local.home import Home

LOWEST, HIGHEST = 12_000, 18_000
"""Below the kernel's own range for outgoing connections, which would otherwise take one in the
moment between our choice and the server's bind; + GRPC_OFFSET stays below it too, and the usual
ports + GRPC_OFFSET are above."""
GRPC_OFFSET: Final = 10_000
"""weed listens on each port + 10,000 as well."""
BLOCK: Final = 60
"""Ports of one stack: its guard, and room for twice the parts that there are."""
GUARD_OF_USUAL: Final = LOWEST - 1


@dataclass(slots=True)
class Ports:
    """The ports of one stack, reserved until `close` or the end of the process."""

    home: Home
    block: range
    guards: list[socket.socket]
    has_usual: bool
    taken: dict[str, int] = field(default_factory=dict)
    moved: dict[str, list[str]] = field(default_factory=dict)
    """Part -> what to say of its ports that are not the usual ones, in the default home."""

    @classmethod
    def of(cls, home: Home) -> Self:
        """Raises `RuntimeError` when every block is reserved by a stack that runs."""
        usual = _listening(GUARD_OF_USUAL) if home.is_default else None
        for block in _blocks(home):
            if guard := _listening(block[0]):
                return cls(home, block[1:], [guard, *filter(None, [usual])], usual is not None)
        raise RuntimeError(f"other stacks hold every port between {LOWEST} and {HIGHEST}")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        for guard in self.guards:
            guard.close()

    def __call__(self, name: str, usual: int, *, with_grpc: bool = False) -> int:
        """The port of ``name``: ``usual`` (default home), else last time's, else the next free."""
        known: dict[str, int] = read_json(self.home.ports_file) or {}
        last = known.pop(name, None)
        known.pop(f"{name}+grpc", None)
        of_others = {*self.taken.values(), *known.values()}
        others = sorted(self.block, key=lambda port: port != last)
        for port in [usual, *others] if self.has_usual else others:
            spans = (port, port + GRPC_OFFSET) if with_grpc else (port,)
            if not of_others & set(spans) and all(map(is_free, spans)):
                self.taken[name] = port
                if with_grpc:
                    self.taken[f"{name}+grpc"] = port + GRPC_OFFSET
                if self.home.is_default and port != usual:
                    self._remark(name, port, usual)
                return port
        raise RuntimeError(f"no free port for {name} in {self.block}")

    def _remark(self, name: str, port: int, usual: int) -> None:
        remarks = self.moved.setdefault(name.partition(".")[0], [])
        if self.has_usual:
            busy = usual + GRPC_OFFSET if is_free(usual) else usual
            remarks.append(f"port {port}, for {holder(busy)} has {busy}")
        elif not remarks:
            remarks.append("not on the usual ports: another stack has reserved them")

    def save(self) -> None:
        write_json(self.home.ports_file, self.taken)


def _blocks(home: Home) -> Iterator[range]:
    """All blocks, first the one that the home's path points at."""
    count = (HIGHEST - LOWEST) // BLOCK
    digest = hashlib.sha256(str(home.path).encode()).digest()
    first = int.from_bytes(digest[:4], "big")
    for step in range(count):
        start = LOWEST + (first + step) % count * BLOCK
        yield range(start, start + BLOCK)


def _listening(port: int) -> socket.socket | None:
    try:
        return socket.create_server(("127.0.0.1", port))
    except OSError:
        return None


def holder(port: int) -> str:
    """Who listens on ``port``, as far as we may see."""
    try:
        for each in psutil.net_connections("tcp"):
            listens = each.status == psutil.CONN_LISTEN and each.laddr and each.laddr.port == port
            if listens and each.pid:
                return f"{psutil.Process(each.pid).name()} (pid {each.pid})"
    except psutil.Error:
        pass
    return "another process"


def is_free(port: int) -> bool:
    """Whether a server could bind 127.0.0.1:``port`` now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
