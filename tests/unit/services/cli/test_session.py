"""Which stack and which key a command takes."""

import json
from pathlib import Path

import pytest

from libs.faults import Poison
from libs.kafka.client import client
from services.cli.keys import chosen
from services.cli.session import Session


@pytest.fixture
def session(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Session:
    for name in ("API_KEY", "ENDPOINTS_FILE", "OPERATOR_TOKEN"):
        monkeypatch.delenv(f"PERENNIAL_{name}", raising=False)
    found = Session(tmp_path)
    found.keep_key("bank", "pk-bank")
    return found


def test_the_key_that_was_kept_for_the_application_wins(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PERENNIAL_API_KEY", "pk-other")

    assert session.api_key("bank") == "pk-bank"
    assert session.api_key("other") == "pk-other"


def test_a_key_in_the_environment_that_is_another_applications_is_refused(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PERENNIAL_API_KEY", "pk-bank")

    with pytest.raises(Poison, match="is the key of 'bank', not of 'other'"):
        session.api_key("other")


def test_a_key_that_is_forgotten_is_missed(session: Session) -> None:
    session.forget_key("bank")

    with pytest.raises(Poison, match="perennial key create -a bank"):
        session.api_key("bank")


def test_a_stack_without_files_is_told_by_the_variables_of_services(
    session: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = tmp_path / "elsewhere.json"
    elsewhere.write_text(json.dumps({"registry.rpc": "registry:7000"}))
    monkeypatch.setenv("PERENNIAL_ENDPOINTS_FILE", str(elsewhere))

    with pytest.raises(Poison, match="set PERENNIAL_OPERATOR_TOKEN"):
        session.operator("registry.rpc")
    monkeypatch.setenv("PERENNIAL_OPERATOR_TOKEN", "a-token-of-the-environment")
    session.operator("registry.rpc").close()


def test_a_broker_is_told_of_by_the_files_and_by_the_variables_of_services(
    session: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "endpoints.json").write_text(json.dumps({"kafka": "127.0.0.1:9092"}))
    (tmp_path / "password").write_text("of the broker\n")
    plain = session.kafka()
    told = {
        "SECURITY_PROTOCOL": "sasl_plaintext",
        "SASL_MECHANISM": "SCRAM-SHA-512",
        "SASL_USERNAME": "ada",
        "SASL_PASSWORD_FILE": str(tmp_path / "password"),
    }
    for name, value in told.items():
        monkeypatch.setenv(f"PERENNIAL_KAFKA__{name}", value)
    secure = session.kafka()
    monkeypatch.setenv("PERENNIAL_KAFKA__BROKERS", "kafka:9094")
    elsewhere = session.kafka()

    assert (plain.brokers, plain.security_protocol) == ("127.0.0.1:9092", "plaintext")
    assert (secure.brokers, client(secure)["sasl.password"]) == ("127.0.0.1:9092", "of the broker")
    assert (elsewhere.brokers, elsewhere.sasl_username) == ("kafka:9094", "ada")


def test_variables_of_a_broker_that_do_not_agree_are_refused(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PERENNIAL_KAFKA__BROKERS", "kafka:9094")
    monkeypatch.setenv("PERENNIAL_KAFKA__SECURITY_PROTOCOL", "sasl_ssl")

    with pytest.raises(Poison, match="wants sasl_mechanism"):
        session.kafka()


def test_a_key_to_revoke_is_named_by_how_its_digest_begins() -> None:
    assert chosen("ab", ["abc", "bcd"]) == "abc"


@pytest.mark.parametrize("beginning", ["", "x", "b"])
def test_a_key_that_is_not_told_from_others_is_not_revoked(beginning: str) -> None:
    with pytest.raises(Poison, match="perennial key list"):
        chosen(beginning, ["abc", "bcd", "bce"])
