"""Server-sent events of a stranger: bounded lines."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from services.inference.ports import EngineFailed

MAX_LINE_BYTES: Final = 256 * 1024


@dataclass(slots=True)
class Data:
    """The value of each ``data:`` line, out of chunks that end anywhere."""

    line_bytes: int = MAX_LINE_BYTES
    rest: bytes = b""

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """The values that are whole now.

        Raises:
            EngineFailed: ``engine_error`` for what is no event stream.
        """
        *lines, self.rest = (self.rest + chunk).split(b"\n")
        if len(self.rest) > self.line_bytes:
            raise EngineFailed("the provider's line is too long", code="engine_error")
        for line in lines:
            if value := _value(line.rstrip(b"\r")):
                yield value

    def end(self) -> Iterator[bytes]:
        """The last one, if its line does not end. Raises as `feed`."""
        if value := _value(self.rest.strip()):
            yield value


def _value(line: bytes) -> bytes:
    name, colon, value = line.partition(b":")
    if name == b"data":
        return value.strip()
    if not line or (colon and name in {b"", b"event", b"id", b"retry"}):
        return b""
    raise EngineFailed("the provider sends no event stream", code="engine_error")
