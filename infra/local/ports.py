"""Ports on 127.0.0.1: the usual ones where they are free, else others; the same at every start."""

import hashlib
import socket
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from infra.local.files import read_json, write_json
from infra.local.home import Home

LOWEST, HIGHEST = 12_000, 21_000
"""Below the kernel's own range for outgoing connections, which would otherwise take one in the
moment between our choice and the server's bind; + GRPC_OFFSET stays below it too."""
GRPC_OFFSET: Final = 10_000
"""weed listens on each port + 10,000 as well."""


@dataclass(slots=True)
class Ports:
    home: Home
    taken: dict[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, home: Home) -> "Ports":
        return cls(home, {})

    def __call__(self, name: str, usual: int, *, with_grpc: bool = False) -> int:
        """The port of ``name``: last time's, else ``usual`` (default home), else the next free."""
        known = (read_json(self.home.ports_file) or {}).get(name)
        for port in self._candidates(known, usual):
            spans = (port, port + GRPC_OFFSET) if with_grpc else (port,)
            if not set(spans) & set(self.taken.values()) and all(map(is_free, spans)):
                self.taken[name] = port
                if with_grpc:
                    self.taken[f"{name}+grpc"] = port + GRPC_OFFSET
                return port
        raise RuntimeError(f"no free port for {name} between {LOWEST} and {HIGHEST}")

    def _candidates(self, known: int | None, usual: int) -> Iterator[int]:
        if known is not None:
            yield known
        if self.home.is_default:
            yield usual
        digest = hashlib.sha256(str(self.home.path).encode()).digest()
        start = int.from_bytes(digest[:4], "big") % (HIGHEST - LOWEST)
        for step in range(HIGHEST - LOWEST):
            yield LOWEST + (start + step) % (HIGHEST - LOWEST)

    def save(self) -> None:
        write_json(self.home.ports_file, self.taken)


def is_free(port: int) -> bool:
    """Whether a server could bind 127.0.0.1:``port`` now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
