"""Settings of the console."""

from pathlib import Path

from pydantic import Field

from libs.runtime.config import DoorSettings, KafkaSettings, OperatorSettings


class Settings(OperatorSettings):
    http: DoorSettings
    kafka: KafkaSettings
    endpoints_file: Path
    """JSON, endpoint name -> host:port (`registry.rpc`, `feedback.ops`); read at each look."""
    refresh_s: float = Field(default=2.0, ge=0.5)
    """Between two looks at the platform; one look serves all pages."""
    look_timeout_s: float = Field(default=3.0, gt=0)
    """Of each question to a service or to the broker."""
    session_hours: float = Field(default=12.0, gt=0)
    """After which an operator logs in again."""
