"""The artifact store, in the domain's words."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from libs.artifacts.store import ArtifactStore
from libs.artifacts.weights import RefusedFile, check_safetensors
from libs.faults import Poison
from services.evaluation import wire
from services.evaluation.domain.task import File

JSON: Final = "application/json"


@dataclass(frozen=True, slots=True)
class KeepInStore:
    """Reports go to the artifact store."""

    store: ArtifactStore

    def __call__(self, report: bytes) -> File:
        return wire.file(self.store.put(report, JSON))


def fetch_weights(store: ArtifactStore, file: File, path: Path) -> None:
    """Bring merged weights to ``path``, digest checked.

    Raises:
        Poison: ``not_safetensors``: a pickle would run code when it is read.
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
    """
    Raises:
        Poison: ``not_safetensors``: a pickle, or tensors outside the file.
    """
    try:
        check_safetensors(path)
    except RefusedFile as error:
        raise Poison(str(error), code="not_safetensors") from error
