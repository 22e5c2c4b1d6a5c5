"""The store's in-memory twin."""

import hashlib
from dataclasses import dataclass, field
from pathlib import Path

from libs.artifacts.store import key_for, key_of, verify
from libs.faults import Poison
from protos.common.v1.common_pb2 import Artifact


@dataclass
class MemoryStore:
    objects: dict[str, bytes] = field(default_factory=dict)

    def put(self, data: bytes, media_type: str) -> Artifact:
        sha256 = hashlib.sha256(data).hexdigest()
        self.objects[key_for(sha256)] = data
        return Artifact(
            uri=f"s3://memory/{key_for(sha256)}",
            sha256=sha256,
            size_bytes=len(data),
            media_type=media_type,
        )

    def put_file(self, path: Path, media_type: str) -> Artifact:
        return self.put(path.read_bytes(), media_type)

    def get(self, artifact: Artifact, max_bytes: int) -> bytes:
        data = self.objects.get(key_of(artifact))
        if data is None:
            raise Poison(f"{artifact.uri} does not exist", code="artifact_missing")
        if len(data) > max_bytes:
            raise Poison(f"{artifact.uri} is above {max_bytes} bytes", code="artifact_too_large")
        verify(artifact, hashlib.sha256(data).hexdigest())
        return data

    def get_file(self, artifact: Artifact, path: Path) -> None:
        data = self.get(artifact, max_bytes=2**63)
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f"{path.name}.part")
        part.write_bytes(data)
        part.replace(path)
