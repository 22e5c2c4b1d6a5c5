"""One suite, two stores: the twin and SeaweedFS."""

import hashlib
from pathlib import Path

import pytest

from libs.artifacts.memory import MemoryStore
from libs.artifacts.minio import MinioStore
from libs.artifacts.store import ArtifactStore, key_for
from libs.faults import Poison
from libs.runtime.config import S3Settings
from protos.common.v1.common_pb2 import Artifact


class StoreContract:
    def test_what_was_put_is_read_back(self, store: ArtifactStore) -> None:
        artifact = store.put(b"hello", "text/plain")

        assert store.get(artifact, 100) == b"hello"
        assert artifact.sha256 == hashlib.sha256(b"hello").hexdigest()
        assert artifact.size_bytes == 5

    def test_putting_the_same_twice_gives_the_same_reference(self, store: ArtifactStore) -> None:
        assert store.put(b"twice", "text/plain") == store.put(b"twice", "text/plain")

    def test_a_file_makes_the_round_trip(self, store: ArtifactStore, tmp_path: Path) -> None:
        source, target = tmp_path / "source", tmp_path / "deep" / "target"
        source.write_bytes(b"x" * 100_000)

        store.get_file(store.put_file(source, "application/octet-stream"), target)

        assert target.read_bytes() == source.read_bytes()

    def test_a_missing_object_is_poison(self, store: ArtifactStore) -> None:
        sha256 = "0" * 64
        uri = store.put(b"somewhere", "text/plain").uri.rpartition("sha256/")[0] + key_for(sha256)

        with pytest.raises(Poison) as missing:
            store.get(Artifact(uri=uri, sha256=sha256), 10)

        assert missing.value.code == "artifact_missing"

    def test_an_object_above_the_bound_is_not_read(self, store: ArtifactStore) -> None:
        artifact = store.put(b"y" * 1000, "text/plain")

        with pytest.raises(Poison) as large:
            store.get(artifact, 999)

        assert large.value.code == "artifact_too_large"

    def test_a_reference_that_does_not_name_its_digest_is_refused(
        self, store: ArtifactStore
    ) -> None:
        with pytest.raises(Poison) as bad:
            store.get(Artifact(uri="s3://perennial/../secret", sha256="0" * 64), 10)

        assert bad.value.code == "bad_artifact"


class TestMemoryStore(StoreContract):
    @pytest.fixture
    def store(self) -> ArtifactStore:
        return MemoryStore()

    def test_corrupt_content_is_noticed(self, store: MemoryStore) -> None:
        artifact = store.put(b"honest", "text/plain")
        store.objects[key_for(artifact.sha256)] = b"forged"

        with pytest.raises(Poison) as corrupt:
            store.get(artifact, 100)

        assert corrupt.value.code == "artifact_corrupt"


class TestS3(StoreContract):
    @pytest.fixture
    def store(self, s3: S3Settings) -> ArtifactStore:
        return MinioStore(s3)
