"""The monitor's settings. What is specific to an application is in its declaration."""

from pydantic import Field

from libs.runtime.config import DoorSettings, KafkaSettings, OperatorSettings, SqlSettings


class Settings(OperatorSettings):
    kafka: KafkaSettings
    sql: SqlSettings
    rpc: DoorSettings
    detect_per_s: int = Field(default=2000, ge=1)
    """Answers of one application and second of the log that the detectors take whole; of more
    they take one in ceil(answers / this). Part of what a replay has to repeat."""
