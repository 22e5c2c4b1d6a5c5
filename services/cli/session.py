"""Which stack a command talks to: addresses, credentials and channels."""

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import grpc
from pydantic import SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from libs.artifacts.minio import MinioStore
from libs.faults import NOT_FOUND, UNAUTHENTICATED, Poison
from libs.rpc.client import sync_channel
from libs.runtime.config import PREFIX, KafkaSettings, S3Settings

REPOSITORY: Final = Path(__file__).resolve().parents[2]
TIMEOUT_S: Final = 30.0


class _Told(BaseSettings):
    """Of the broker, by the variables that services have too."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_nested_delimiter="__", frozen=True, extra="ignore"
    )

    kafka: KafkaSettings


@dataclass(frozen=True, slots=True)
class Session:
    """A running stack, found by the files that `make up` wrote, or by the variables that services
    have too: PERENNIAL_ENDPOINTS_FILE, PERENNIAL_OPERATOR_TOKEN, PERENNIAL_S3__*_KEY,
    PERENNIAL_KAFKA__*."""

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
        path = Path(os.environ.get("PERENNIAL_ENDPOINTS_FILE") or self.home / "endpoints.json")
        return _read(path, f"no stack in {self.home}: start one with `make up`")

    def address(self, name: str) -> str:
        found = self.endpoints().get(name)
        if found is None:
            raise Poison(
                f"no endpoint {name!r} among {', '.join(self.endpoints())}", code=NOT_FOUND
            )
        return found

    def operator(self, door: str) -> grpc.Channel:
        """A channel to an operators' door, e.g. ``registry.rpc``."""
        address = self.address(door)
        return sync_channel(address, self._secret("operator_token", "PERENNIAL_OPERATOR_TOKEN"))

    def tenant(self, door: str, application: str) -> grpc.Channel:
        """A channel to an application's door, e.g. ``inference.rpc``."""
        return sync_channel(self.address(door), self.api_key(application))

    def api_key(self, application: str) -> str:
        """The application's key: what `perennial apply` kept, else ``$PERENNIAL_API_KEY``.

        Raises:
            Poison: ``unauthenticated`` when there is none, or that one is another application's.
        """
        kept = self.api_keys()
        if application in kept:
            return kept[application]
        key = os.environ.get("PERENNIAL_API_KEY")
        if not key:
            told = f"no API key of {application!r}: `perennial key create -a {application}` makes"
            raise Poison(f"{told} one, or set PERENNIAL_API_KEY", code=UNAUTHENTICATED)
        if others := [name for name, theirs in kept.items() if theirs == key]:
            told = f"PERENNIAL_API_KEY is the key of {others[0]!r}, not of {application!r}"
            raise Poison(told, code=UNAUTHENTICATED)
        return key

    def api_keys(self) -> dict[str, str]:
        path = self.home / "keys.json"
        return _read(path, "") if path.exists() else {}

    def keep_key(self, application: str, key: str) -> None:
        """Write a key to keys.json, readable by the owner only."""
        self._write_keys({**self.api_keys(), application: key})

    def forget_key(self, application: str) -> None:
        """Leave the application's key out of keys.json."""
        kept = self.api_keys()
        self._write_keys({name: key for name, key in kept.items() if name != application})

    def _write_keys(self, keys: dict[str, str]) -> None:
        path = self.home / "keys.json"
        part = path.with_suffix(".part")
        part.touch(mode=0o600)
        part.write_text(json.dumps(keys, indent=2))
        part.replace(path)

    def kafka(self) -> KafkaSettings:
        """
        Raises:
            Poison: ``bad_settings`` when the variables do not agree.
        """
        brokers = os.environ.get(f"{PREFIX}KAFKA__BROKERS") or self.address("kafka")
        try:
            # The variables are merged into what is given here.
            return _Told.model_validate({"kafka": {"brokers": brokers}}).kafka
        except ValidationError as error:
            why = "; ".join(each["msg"] for each in error.errors())
            raise Poison(f"{PREFIX}KAFKA__*: {why}", code="bad_settings") from error

    def artifacts(self) -> MinioStore:
        access_key = self._secret("s3_access_key", "PERENNIAL_S3__ACCESS_KEY")
        secret_key = self._secret("s3_secret_key", "PERENNIAL_S3__SECRET_KEY")
        return MinioStore(
            S3Settings(
                endpoint=self.address("s3"),
                access_key=SecretStr(access_key),
                secret_key=SecretStr(secret_key),
            )
        )

    def _secret(self, name: str, variable: str) -> str:
        path = self.home / "credentials.json"
        return os.environ.get(variable) or _read(path, f"set {variable}: no {path}")[name]


def _read(path: Path, missing: str) -> dict[str, str]:
    """
    Raises:
        Poison: ``not_found`` with ``missing``.
    """
    if not path.exists():
        raise Poison(missing, code=NOT_FOUND)
    found: dict[str, str] = json.loads(path.read_text())
    return found
