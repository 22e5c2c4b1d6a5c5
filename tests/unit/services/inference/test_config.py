"""Settings of several workers."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from services.inference.config import Settings

SECRET = "0123456789abcdef"


def settings(**changes: Any) -> Settings:
    values: dict[str, Any] = {
        "ops": {"port": 1},
        "rpc": {"port": 2},
        "http": {"port": 3},
        "kafka": {"brokers": "127.0.0.1:9"},
        "s3": {"endpoint": "127.0.0.1:9", "access_key": "a", "secret_key": SECRET},
        "triton": {"repository_token": SECRET, "model_repository": Path("models")},
        "state_dir": Path("state"),
    }
    return Settings(**(values | changes))


@pytest.mark.parametrize("door", ["ops", "rpc", "http"])
def test_several_workers_need_ports_with_a_number(door: str) -> None:
    assert settings(**{door: {"port": 0}}).workers == 1

    with pytest.raises(ValidationError, match="share ports"):
        settings(workers=2, **{door: {"port": 0}})


def test_a_worker_has_its_part_of_each_bound() -> None:
    assert settings().part(56) == 56
    assert settings(workers=2).part(56) == 28
    assert settings(workers=3).part(1) == 1
