"""What every client is told; librdkafka refuses what it does not know."""

from pathlib import Path

import certifi
import pytest
from confluent_kafka import Consumer, Producer
from confluent_kafka.admin import AdminClient
from pydantic import ValidationError

from libs.kafka.client import client, reader
from libs.runtime.config import KafkaSettings

NOWHERE = "127.0.0.1:9"


@pytest.fixture
def secure(tmp_path: Path) -> KafkaSettings:
    password = tmp_path / "password"
    password.write_text("of the broker\n")
    return KafkaSettings.model_validate(
        {
            "brokers": NOWHERE,
            "security_protocol": "sasl_ssl",
            "ssl_ca_file": certifi.where(),
            "sasl_mechanism": "SCRAM-SHA-512",
            "sasl_username": "perennial",
            "sasl_password_file": str(password),
            "group_prefix": "team-a.",
        }
    )


def test_every_kind_of_client_takes_a_secure_brokers_settings(secure: KafkaSettings) -> None:
    Producer(client(secure))
    AdminClient(client(secure))
    consumer = Consumer(reader(secure, "registry"))
    consumer.close()

    told = reader(secure, "registry")
    assert told["sasl.password"] == "of the broker"
    assert told["group.id"] == "team-a.registry"


def test_settings_without_security_name_none() -> None:
    told = client(KafkaSettings(brokers=NOWHERE))

    assert told["security.protocol"] == "plaintext"
    assert not [name for name in told if name.startswith(("sasl.", "ssl."))]


@pytest.mark.parametrize(
    ("changed", "remedy"),
    [
        ({"sasl_username": ""}, "wants sasl_mechanism, sasl_username and sasl_password_file"),
        ({"sasl_mechanism": None}, "wants sasl_mechanism"),
        ({"security_protocol": "ssl"}, "ssl takes no sasl"),
        ({"security_protocol": "sasl_plaintext"}, "sasl_plaintext takes no ssl_ca_file"),
        ({"sasl_password_file": "/absent"}, "does not point to a file"),
    ],
)
def test_what_contradicts_itself_is_refused(
    secure: KafkaSettings, changed: dict[str, str | None], remedy: str
) -> None:
    with pytest.raises(ValidationError, match=remedy):
        KafkaSettings.model_validate(secure.model_dump() | changed)


def test_an_empty_password_is_refused(secure: KafkaSettings) -> None:
    assert secure.sasl_password_file is not None
    secure.sasl_password_file.write_text("\n")

    with pytest.raises(ValidationError, match="is empty"):
        KafkaSettings.model_validate(secure.model_dump())
