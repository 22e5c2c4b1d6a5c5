"""Events on disk between the answer and Kafka: append, read in order, move a cursor.

Layout of the directory: ``<number>.spool`` segments of records, ``cursor`` (what is sent),
``lock``. A record is ``<u32 length><u32 crc32><body>``; the body is topic, event id and event.

Promises. `append` returns after ``write(2)``: a killed process loses nothing, the next one
reads on at the cursor (what was sent after the cursor's last move is sent again, under the
same event id). Against a power cut `sync` is called when sending fails, so a backlog is on
the disk, and what Kafka takes at once is not. Above ``max_bytes`` an append is refused.
"""

import fcntl
import json
import os
import shutil
import struct
import threading
import zlib
from pathlib import Path
from typing import Final

import structlog

from libs.faults import Fatal
from libs.runtime import metrics
from services.inference.ports import Entry, Position, SpoolFull

log = structlog.get_logger()

HEAD: Final = struct.Struct("<II")
NAMES: Final = struct.Struct("<HH")
SEGMENT_BYTES: Final = 8 * 1024 * 1024
MAX_RECORD_BYTES: Final = 1024 * 1024
ADOPTED: Final = 256
"""Records at a time."""


class Spool:
    """One writer thread (the event loop), one reader thread (the relay)."""

    def __init__(self, directory: Path, max_bytes: int, segment_bytes: int = SEGMENT_BYTES) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._directory = directory
        self._max_bytes = max_bytes
        self._segment_bytes = segment_bytes
        self._guard = threading.Lock()
        self._lock_file = _locked(directory / "lock")
        numbers = self._segments()
        self._cursor = self._read_cursor(numbers)
        self._sizes = {n: self._path(n).stat().st_size for n in numbers}
        for number in [n for n in numbers if n < self._cursor.segment]:
            self._drop(number)
        # A new segment, for the last one may end in the half of a record.
        self._tail = max([*numbers, self._cursor.segment]) + 1
        self._file = self._open(self._tail)

    def append(self, entry: Entry) -> None:
        """Keep ``entry``.

        Raises:
            SpoolFull: the bound on undelivered bytes is reached.
            OSError: the disk refused; nothing of the entry stays.
        """
        topic, event_id = entry.topic.encode(), entry.event_id.encode()
        body = NAMES.pack(len(topic), len(event_id)) + topic + event_id + entry.event
        record = HEAD.pack(len(body), zlib.crc32(body)) + body
        if self.pending_bytes() + len(record) > self._max_bytes:
            raise SpoolFull(f"{self._max_bytes} bytes wait for Kafka")
        size = self._sizes[self._tail]
        if size and size + len(record) > self._segment_bytes:
            self._roll()
            size = 0
        try:
            written = os.write(self._file, record)
            if written != len(record):
                raise OSError(f"short write: {written} of {len(record)} bytes")
        except OSError:
            os.ftruncate(self._file, size)
            raise
        self._sizes[self._tail] = size + len(record)

    def read(self, most: int) -> tuple[list[Entry], Position]:
        """Up to ``most`` entries behind the cursor, and the position to `commit` after them."""
        entries: list[Entry] = []
        position = self._cursor
        for number in sorted(n for n in list(self._sizes) if n >= position.segment):
            offset = position.offset if number == position.segment else 0
            position = self._scan(number, offset, most - len(entries), entries)
            if len(entries) >= most:
                break
        return entries, position

    def commit(self, position: Position) -> None:
        """What lies before ``position`` is delivered; whole segments before it are deleted."""
        if position == self._cursor:
            return
        text = json.dumps({"segment": position.segment, "offset": position.offset})
        partial = self._directory / "cursor.part"
        partial.write_text(text)
        partial.replace(self._directory / "cursor")
        with self._guard:
            self._cursor = position
            for number in [n for n in self._sizes if n < position.segment]:
                self._drop(number)

    def pending_bytes(self) -> int:
        """Undelivered bytes."""
        with self._guard:
            return sum(self._sizes.values()) - self._cursor.offset * (
                self._cursor.segment in self._sizes
            )

    def sync(self) -> None:
        """Have the present segment on the disk itself."""
        os.fsync(self._file)

    def close(self) -> None:
        os.close(self._file)
        os.close(self._lock_file)

    def _scan(self, number: int, offset: int, most: int, entries: list[Entry]) -> Position:
        size = self._sizes[number]
        with self._path(number).open("rb") as file:
            file.seek(offset)
            for _ in range(most):
                if offset + HEAD.size > size:
                    break
                length, crc = HEAD.unpack(file.read(HEAD.size))
                body = file.read(min(length, MAX_RECORD_BYTES))
                if len(body) < length or zlib.crc32(body) != crc:
                    return _give_up(number, offset, size, torn=offset + length >= size)
                offset += HEAD.size + length
                entries.append(_entry(body))
        return Position(number, offset)

    def _roll(self) -> None:
        os.close(self._file)
        self._tail += 1
        self._file = self._open(self._tail)

    def _open(self, number: int) -> int:
        with self._guard:
            self._sizes[number] = 0
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        return os.open(self._path(number), flags, 0o600)

    def _drop(self, number: int) -> None:
        self._sizes.pop(number, None)
        self._path(number).unlink(missing_ok=True)

    def _path(self, number: int) -> Path:
        return self._directory / f"{number:012d}.spool"

    def _segments(self) -> list[int]:
        names = [path.stem for path in self._directory.glob("*.spool")]
        return sorted(int(name) for name in names if name.isdigit())

    def _read_cursor(self, numbers: list[int]) -> Position:
        first = Position(numbers[0] if numbers else 0, 0)
        try:
            stored = json.loads((self._directory / "cursor").read_text())
            return max(first, Position(int(stored["segment"]), int(stored["offset"])))
        except FileNotFoundError:
            return first
        except (ValueError, KeyError, TypeError) as error:
            log.warning("spool.cursor_unreadable", error=str(error))
            return first


def adopt(spool: Spool, left: Path) -> None:
    """Have ``spool`` deliver what the one in ``left`` still holds: its process is no more. What
    does not fit stays there for the next start; a crash in between delivers it twice.

    Raises:
        Fatal: it is still used.
    """
    other = Spool(left, max_bytes=0)
    try:
        while (found := other.read(ADOPTED))[0]:
            for entry in found[0]:
                spool.append(entry)
            spool.sync()
            other.commit(found[1])
    except SpoolFull:
        log.warning("spool.left_alone", directory=str(left), bytes=other.pending_bytes())
        return
    finally:
        other.close()
    shutil.rmtree(left)


def _entry(body: bytes) -> Entry:
    topic_end = NAMES.size + NAMES.unpack_from(body)[0]
    id_end = topic_end + NAMES.unpack_from(body)[1]
    return Entry(
        topic=body[NAMES.size : topic_end].decode(),
        event_id=body[topic_end:id_end].decode(),
        event=body[id_end:],
    )


def _give_up(number: int, offset: int, size: int, *, torn: bool) -> Position:
    """The rest of a segment is no record: the end of a killed append (``torn``), or damage."""
    log.warning("spool.unreadable", segment=number, offset=offset, bytes=size - offset, torn=torn)
    if not torn:
        metrics.EVENTS_LOST.labels("unknown", "damaged").inc()
    return Position(number, size)


def _locked(path: Path) -> int:
    """Hold the directory: two processes on one spool would mix their records."""
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(file)
        raise Fatal(f"{path.parent} is used by another process") from error
    return file
