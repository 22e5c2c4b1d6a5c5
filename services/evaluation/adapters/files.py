"""The artifact store, in the domain's words."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from libs.artifacts.store import ArtifactStore
from libs.faults import Poison
from services.evaluation import wire
from services.evaluation.domain.task import File

JSON: Final = "application/json"
MAX_HEADER_BYTES: Final = 100 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class KeepInStore:
    """Reports go to the artifact store."""

    store: ArtifactStore

    def __call__(self, report: bytes) -> File:
        return wire.file(self.store.put(report, JSON))


def fetch_weights(store: ArtifactStore, file: File, path: Path) -> None:
    """Bring merged weights to ``path``, digest checked.

    Raises:
        Poison: ``not_safetensors``, by magic bytes: a pickle would run code when it is read.
    """
    store.get_file(wire.artifact(file), path)
    require_safetensors(path)


def fetch_gguf(store: ArtifactStore, file: File, path: Path) -> None:
    """Bring an engine to ``path``.

    Raises:
        Poison: ``not_gguf``.
    """
    store.get_file(wire.artifact(file), path)
    with path.open("rb") as opened:
        if opened.read(4) != b"GGUF":
            raise Poison(f"{file.uri} is not GGUF", code="not_gguf")


def require_safetensors(path: Path) -> None:
    """A length, then a JSON object of that length, inside the file: neither pickle nor zip.

    Raises:
        Poison: ``not_safetensors``.
    """
    with path.open("rb") as opened:
        head = opened.read(9)
    header_bytes = int.from_bytes(head[:8], "little")
    whole = len(head) == 9 and 2 <= header_bytes <= path.stat().st_size - 8
    if head[:2] == b"PK" or not whole or header_bytes > MAX_HEADER_BYTES or head[8:] != b"{":
        raise Poison(f"{path.name} is not safetensors", code="not_safetensors")
