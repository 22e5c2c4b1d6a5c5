"""The store on any S3, through the minio SDK. Blocking: called from threads."""

import hashlib
import io
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import urllib3
from minio import Minio
from minio.error import InvalidResponseError, S3Error, ServerError

from libs.artifacts.store import MEBIBYTE, key_for, key_of, sha256_of_file, verify
from libs.faults import Fatal, Poison, Retryable
from libs.runtime.config import S3Settings
from protos.common.v1.common_pb2 import Artifact

TIMEOUT: Final = urllib3.Timeout(connect=3.0, read=30.0)
MISSING: Final = frozenset({"NoSuchKey", "NoSuchBucket", "NoSuchObject"})
DENIED: Final = frozenset({"AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch"})


class MinioStore:
    """Objects under ``sha256/`` of one bucket."""

    def __init__(self, settings: S3Settings) -> None:
        self._bucket = settings.bucket
        self._client = Minio(
            settings.endpoint,
            access_key=settings.access_key.get_secret_value(),
            secret_key=settings.secret_key.get_secret_value(),
            secure=settings.secure,
            http_client=urllib3.PoolManager(maxsize=16, timeout=TIMEOUT, retries=urllib3.Retry(2)),
        )

    def put(self, data: bytes, media_type: str) -> Artifact:
        sha256 = hashlib.sha256(data).hexdigest()
        artifact = self._artifact(sha256, len(data), media_type)
        if not self._exists(artifact):
            with _translated(artifact.uri):
                self._client.put_object(
                    self._bucket, key_for(sha256), io.BytesIO(data), len(data), media_type
                )
        return artifact

    def put_file(self, path: Path, media_type: str) -> Artifact:
        sha256 = sha256_of_file(path)
        artifact = self._artifact(sha256, path.stat().st_size, media_type)
        if not self._exists(artifact):
            with _translated(artifact.uri):
                self._client.fput_object(self._bucket, key_for(sha256), str(path), media_type)
        return artifact

    def get(self, artifact: Artifact, max_bytes: int) -> bytes:
        data = io.BytesIO()
        for piece in self._read(artifact):
            if data.tell() + len(piece) > max_bytes:
                raise Poison(
                    f"{artifact.uri} is above {max_bytes} bytes", code="artifact_too_large"
                )
            data.write(piece)
        verify(artifact, hashlib.sha256(data.getbuffer()).hexdigest())
        return data.getvalue()

    def get_file(self, artifact: Artifact, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        digest = hashlib.sha256()
        with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as part:
            try:
                for piece in self._read(artifact):
                    digest.update(piece)
                    part.write(piece)
                verify(artifact, digest.hexdigest())
            except BaseException:
                Path(part.name).unlink()
                raise
        Path(part.name).replace(path)

    def _artifact(self, sha256: str, size: int, media_type: str) -> Artifact:
        uri = f"s3://{self._bucket}/{key_for(sha256)}"
        return Artifact(uri=uri, sha256=sha256, size_bytes=size, media_type=media_type)

    def _exists(self, artifact: Artifact) -> bool:
        try:
            with _translated(artifact.uri):
                found = self._client.stat_object(self._bucket, key_of(artifact))
        except Poison as poison:
            if poison.code == "artifact_missing":
                return False
            raise
        return bool(found.size == artifact.size_bytes)

    def _read(self, artifact: Artifact) -> Iterator[bytes]:
        with _translated(artifact.uri):
            response = self._client.get_object(self._bucket, key_of(artifact))
            try:
                yield from response.stream(MEBIBYTE)
            finally:
                response.close()
                response.release_conn()


@contextmanager
def _translated(uri: str) -> Iterator[None]:
    """The SDK's and the network's errors as faults."""
    try:
        yield
    except S3Error as error:
        if error.code in MISSING:
            raise Poison(f"{uri}: {error.code}", code="artifact_missing") from error
        if error.code in DENIED:
            raise Fatal(f"the object store refuses our credentials: {error.code}") from error
        raise Retryable(f"{uri}: {error.code}") from error
    except (InvalidResponseError, ServerError, urllib3.exceptions.HTTPError, OSError) as error:
        raise Retryable(f"{uri}: {error}") from error
