"""Settings: read once from ``PERENNIAL_*``, and refusing what they do not know."""

import os
from pathlib import Path
from typing import Any, Final, Literal, Self, TypeVar

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    FilePath,
    SecretStr,
    ValidationError,
    model_validator,
)
from pydantic_settings import BaseSettings, SettingsConfigDict

T = TypeVar("T")

PREFIX: Final = "PERENNIAL_"
RUNNER_VARIABLES: Final = frozenset({"PERENNIAL_RUN", "PERENNIAL_HOME"})
"""Read by the local process runner; every process inherits them."""
TOOL_VARIABLES: Final = frozenset({"PERENNIAL_API_KEY", "PERENNIAL_KAFKA_REPLICATION"})
"""Read by `perennial` and by who provisions topics, whose shell may start a service too."""


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class KafkaSettings(Section):
    brokers: str = Field(min_length=1)
    """host:port, comma separated."""
    idempotence: bool = True
    """Off only on a broker whose idempotent producer loses acknowledged records (tansu)."""
    group_prefix: str = ""
    """Before the name of every consumer group, for a cluster whose groups have owners."""
    security_protocol: Literal["plaintext", "ssl", "sasl_plaintext", "sasl_ssl"] = "plaintext"
    ssl_ca_file: FilePath | None = None
    """PEM, of who signed the brokers' certificates; absent: the system's."""
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] | None = None
    sasl_username: str = ""
    sasl_password_file: FilePath | None = None
    """Read at each start; white space around the password is left out."""

    @model_validator(mode="after")
    def _agree(self) -> Self:
        sasl = (self.sasl_mechanism, self.sasl_username, self.sasl_password_file)
        if self.security_protocol.startswith("sasl") and not all(sasl):
            raise ValueError(
                f"security_protocol {self.security_protocol} wants sasl_mechanism, sasl_username "
                "and sasl_password_file"
            )
        if any(sasl) and not self.security_protocol.startswith("sasl"):
            raise ValueError(f"security_protocol {self.security_protocol} takes no sasl_* setting")
        if self.ssl_ca_file and not self.security_protocol.endswith("ssl"):
            raise ValueError(f"security_protocol {self.security_protocol} takes no ssl_ca_file")
        if self.sasl_password_file and not self.sasl_password_file.read_text().strip():
            raise ValueError(f"sasl_password_file {self.sasl_password_file} is empty")
        return self


class S3Settings(Section):
    endpoint: str
    """host:port."""
    access_key: SecretStr
    secret_key: SecretStr
    bucket: str = "perennial"
    secure: bool = False

    @model_validator(mode="after")
    def _strong(self) -> Self:
        return _refuse_weak(self, "secret_key", self.secret_key)


class SqlSettings(Section):
    url: str
    """sqlite:////path or postgresql+psycopg://..."""


class DoorSettings(Section):
    host: str = "127.0.0.1"
    port: int = Field(ge=0, le=65535)
    insecure_any_address: bool = False
    """Without TLS a door opens on loopback only; set this where a mesh or an ingress ends TLS."""

    @model_validator(mode="after")
    def _loopback_without_tls(self) -> Self:
        if self.host in {"127.0.0.1", "::1", "localhost"} or self.insecure_any_address:
            return self
        raise ValueError(
            f"host {self.host} without TLS is refused: use 127.0.0.1, or set "
            "..__INSECURE_ANY_ADDRESS=true where something in front ends TLS"
        )


class ServiceSettings(BaseSettings):
    """What every service has. A service's own settings add the sections that it uses."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_nested_delimiter="__", frozen=True, extra="forbid"
    )

    ops: DoorSettings
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    drain_s: float = Field(default=10.0, ge=0)
    """How long work that has begun may go on after a stop was asked for."""

    @model_validator(mode="before")
    @classmethod
    def _know_every_variable(cls, values: Any) -> Any:
        known = {f"{PREFIX}{name.upper()}" for name in cls.model_fields}
        unknown = [
            name
            for name in os.environ
            if name.startswith(PREFIX)
            and name not in RUNNER_VARIABLES | TOOL_VARIABLES
            and name.split("__")[0] not in known
        ]
        if unknown:
            raise ValueError(
                f"unknown settings {', '.join(sorted(unknown))}; known: {', '.join(sorted(known))}"
            )
        # A section of which nothing is set is refused by what it lacks, not as a whole.
        absent: dict[str, Any] = {
            name: {}
            for name, field in cls.model_fields.items()
            if field.is_required()
            and isinstance(field.annotation, type)
            and issubclass(field.annotation, Section)
        }
        return {**absent, **values}


class OperatorSettings(ServiceSettings):
    """Settings of a service with an operator's door."""

    operator_token: SecretStr

    @model_validator(mode="after")
    def _strong(self) -> Self:
        return _refuse_weak(self, "operator_token", self.operator_token)


class StatefulSettings(ServiceSettings):
    """Settings of a service that keeps files."""

    state_dir: Path


def refusals(error: ValidationError) -> list[str]:
    """What settings were refused for, by variable; no value is repeated, for some are secrets."""
    return [
        f"{PREFIX}{'__'.join(map(str, each['loc'])).upper()}: {each['msg']}"
        if each["loc"]
        else each["msg"]
        for each in error.errors(include_input=False)
    ]


def _refuse_weak(settings: T, name: str, secret: SecretStr) -> T:
    if len(secret.get_secret_value()) < 16:
        raise ValueError(f"{name} is shorter than 16 characters: generate a random one")
    return settings
