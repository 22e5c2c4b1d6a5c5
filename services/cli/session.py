"""Which stack a command talks to: addresses, credentials and channels."""

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import grpc
from pydantic import SecretStr

from libs.artifacts.minio import MinioStore
from libs.faults import NOT_FOUND, UNAUTHENTICATED, Poison
from libs.rpc.client import sync_channel
from libs.runtime.config import KafkaSettings, S3Settings

REPOSITORY: Final = Path(__file__).resolve().parents[2]
TIMEOUT_S: Final = 30.0


@dataclass(frozen=True, slots=True)
class Session:
    """A running stack, found by the files that `make up` wrote."""

    home: Path

    @classmethod
    def here(cls) -> "Session":
        """The stack of ``$PERENNIAL_HOME``, else of ``.perennial`` beside the code."""
        return cls(Path(os.environ.get("PERENNIAL_HOME") or REPOSITORY / ".perennial"))

    def endpoints(self) -> dict[str, str]:
        """Name -> host:port.

        Raises:
            Poison: ``not_found`` when no stack was started here.
        """
        return self._read("endpoints.json", f"no stack in {self.home}: start one with `make up`")

    def address(self, name: str) -> str:
        found = self.endpoints().get(name)
        if found is None:
            raise Poison(f"no endpoint {name!r} in {self.home}/endpoints.json", code=NOT_FOUND)
        return found

    def operator(self, door: str) -> grpc.Channel:
        """A channel to an operators' door, e.g. ``registry.rpc``."""
        token = self._read("credentials.json", "no credentials")["operator_token"]
        return sync_channel(self.address(door), token)

    def tenant(self, door: str, application: str) -> grpc.Channel:
        """A channel to an application's door, e.g. ``inference.rpc``."""
        return sync_channel(self.address(door), self.api_key(application))

    def api_key(self, application: str) -> str:
        """The application's key: ``$PERENNIAL_API_KEY`` or what `perennial apply` kept.

        Raises:
            Poison: ``unauthenticated`` when there is none.
        """
        key = os.environ.get("PERENNIAL_API_KEY") or self.api_keys().get(application)
        if key is None:
            raise Poison(
                f"no API key of {application!r}: `perennial apply` makes one, or set "
                "PERENNIAL_API_KEY",
                code=UNAUTHENTICATED,
            )
        return key

    def api_keys(self) -> dict[str, str]:
        path = self.home / "keys.json"
        return self._read("keys.json", "") if path.exists() else {}

    def keep_key(self, application: str, key: str) -> None:
        """Write a key to keys.json, readable by the owner only."""
        path = self.home / "keys.json"
        part = path.with_suffix(".part")
        part.touch(mode=0o600)
        part.write_text(json.dumps({**self.api_keys(), application: key}, indent=2))
        part.replace(path)

    def kafka(self) -> KafkaSettings:
        return KafkaSettings(brokers=self.address("kafka"))

    def artifacts(self) -> MinioStore:
        known = self._read("credentials.json", "no credentials")
        return MinioStore(
            S3Settings(
                endpoint=self.address("s3"),
                access_key=SecretStr(known["s3_access_key"]),
                secret_key=SecretStr(known["s3_secret_key"]),
            )
        )

    def _read(self, name: str, missing: str) -> dict[str, str]:
        path = self.home / name
        if not path.exists():
            raise Poison(missing or f"{path} is missing", code=NOT_FOUND)
        found: dict[str, str] = json.loads(path.read_text())
        return found
