"""Settings refuse what they do not know and what is not safe."""

import pytest
from pydantic import SecretStr, ValidationError

from libs.runtime.config import (
    DoorSettings,
    KafkaSettings,
    OperatorSettings,
    S3Settings,
    ServiceSettings,
    refusals,
)


class Settings(ServiceSettings):
    kafka: KafkaSettings


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    monkeypatch.setenv("PERENNIAL_OPS__PORT", "0")
    monkeypatch.setenv("PERENNIAL_KAFKA__BROKERS", "127.0.0.1:9092")
    return monkeypatch


def read() -> Settings:
    return Settings()  # type: ignore[call-arg]  # from the environment


def test_settings_come_from_the_environment(environment: pytest.MonkeyPatch) -> None:
    assert read().kafka.brokers == "127.0.0.1:9092"


def test_a_misspelt_variable_is_refused(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("PERENNIAL_DRAIN_SECONDS", "3")

    with pytest.raises(ValidationError, match="PERENNIAL_DRAIN_SECONDS"):
        read()


@pytest.mark.parametrize("name", ["PERENNIAL_API_KEY", "PERENNIAL_KAFKA_REPLICATION"])
def test_a_variable_of_a_command_in_the_same_shell_is_no_setting(
    name: str, environment: pytest.MonkeyPatch
) -> None:
    environment.setenv(name, "3")

    assert read().kafka.brokers


def test_a_misspelt_variable_inside_a_section_is_refused(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("PERENNIAL_KAFKA__BROKER", "127.0.0.1:1")

    with pytest.raises(ValidationError, match="broker"):
        read()


def test_a_door_on_every_address_without_tls_is_refused() -> None:
    with pytest.raises(ValidationError, match="without TLS"):
        DoorSettings(host="0.0.0.0", port=80)


def test_a_short_secret_is_refused() -> None:
    with pytest.raises(ValidationError, match="16 characters"):
        S3Settings(endpoint="x:1", access_key=SecretStr("a"), secret_key=SecretStr("short"))


def test_a_short_operator_token_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PERENNIAL_OPS__PORT", "0")
    monkeypatch.setenv("PERENNIAL_OPERATOR_TOKEN", "admin")

    with pytest.raises(ValidationError, match="16 characters"):
        OperatorSettings()  # type: ignore[call-arg]  # from the environment


def test_what_is_refused_is_said_by_its_variable_and_without_its_value(
    environment: pytest.MonkeyPatch,
) -> None:
    environment.delenv("PERENNIAL_KAFKA__BROKERS")
    environment.setenv("PERENNIAL_OPS__PORT", "a secret")

    with pytest.raises(ValidationError) as refused:
        read()

    ops, kafka = refusals(refused.value)
    assert ops.startswith("PERENNIAL_OPS__PORT: ")
    assert "a secret" not in ops
    assert kafka == "PERENNIAL_KAFKA__BROKERS: Field required"
