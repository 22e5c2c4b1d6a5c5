"""The port to the object store. What is read is what was written: the digest is checked."""

import hashlib
import re
from pathlib import Path
from typing import Final, Protocol
from urllib.parse import urlsplit

from libs.faults import Poison
from protos.common.v1.common_pb2 import Artifact

MEBIBYTE: Final = 1024 * 1024
_SHA256: Final = re.compile(r"[0-9a-f]{64}")


class ArtifactStore(Protocol):
    """Objects named by the sha256 of their content. Writing the same content twice is free.

    Raises, on every call:
        Retryable: the store is away.
        Poison: ``artifact_missing``, ``artifact_corrupt`` (the content is not its digest's),
            ``artifact_too_large``, ``bad_artifact`` (the reference itself is malformed).
    """

    def put(self, data: bytes, media_type: str) -> Artifact: ...

    def put_file(self, path: Path, media_type: str) -> Artifact: ...

    def get(self, artifact: Artifact, max_bytes: int) -> bytes: ...

    def get_file(self, artifact: Artifact, path: Path) -> None:
        """Write the content to ``path``, by rename: the file is whole or absent."""


def key_for(sha256: str) -> str:
    return f"sha256/{sha256}"


def key_of(artifact: Artifact) -> str:
    """The object's key.

    Raises:
        Poison: ``bad_artifact`` when digest and address disagree or are malformed.
    """
    address = urlsplit(artifact.uri)
    key = address.path.lstrip("/")
    if not _SHA256.fullmatch(artifact.sha256) or key != key_for(artifact.sha256):
        raise Poison(f"artifact {artifact.uri!r} does not name its sha256", code="bad_artifact")
    return key


def verify(artifact: Artifact, sha256: str) -> None:
    """Compare a digest that was read with the one that was asked for."""
    if sha256 != artifact.sha256:
        raise Poison(f"{artifact.uri} has content of sha256 {sha256}", code="artifact_corrupt")


def sha256_of_file(path: Path) -> str:
    """Lower-case hex digest of a file's content, read in pieces."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
