"""Settings of feedback."""

from pydantic import Field

from libs.runtime.config import DoorSettings, KafkaSettings, ServiceSettings, SqlSettings


class Settings(ServiceSettings):
    kafka: KafkaSettings
    sql: SqlSettings
    rpc: DoorSettings
    http: DoorSettings
    generation_days: float = Field(default=7.0, gt=0)
    """How long an answer can take feedback; what comes later is dead-lettered."""
    waiting_hours: float = Field(default=24.0, gt=0)
    """How long feedback waits for its answer; then it is dead-lettered (`no_generation`)."""
    generations_per_partition: int = Field(default=20_000, ge=1)
    """Bound of the state, in answers: the oldest go first."""
    bytes_per_partition: int = Field(default=128 * 1024 * 1024, ge=1024 * 1024)
    """Bound of the state, in bytes as they are stored: the oldest go first."""
    sweep_s: float = Field(default=5.0, gt=0)
    """How often what is too old is looked for."""
