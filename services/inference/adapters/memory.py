"""What the sentinel knows, in one file for each case."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import structlog

from services.inference.domain.sentinel import POWERS, Known
from services.inference.wire import probes

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class FileMemory:
    """A file that cannot be read is as none: the sentinel learns anew."""

    directory: Path

    def load(self, case: str) -> Known | None:
        try:
            known = probes.loaded(self._path(case).read_bytes())
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            log.warning("sentinel.memory_unreadable", error=str(error))
            return None
        return known if len(known.stakes) == len(POWERS) else None

    def save(self, case: str, known: Known) -> None:
        path = self._path(case)
        partial = path.with_suffix(".part")
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
            partial.write_bytes(probes.dumped(known))
            partial.replace(path)
        except OSError as error:
            log.warning("sentinel.memory_not_kept", error=str(error))

    def _path(self, case: str) -> Path:
        return self.directory / f"{hashlib.sha256(case.encode()).hexdigest()[:32]}.json"
