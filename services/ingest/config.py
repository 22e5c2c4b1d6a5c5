"""Ingest's settings."""

from pydantic import Field

from libs.runtime.config import DoorSettings, KafkaSettings, S3Settings, ServiceSettings


class Settings(ServiceSettings):
    kafka: KafkaSettings
    s3: S3Settings
    rpc: DoorSettings
    http: DoorSettings
    max_body_bytes: int = Field(default=64 * 1024 * 1024, gt=0)
    """Largest HTTP body. It is parsed as it arrives and never held whole."""
    max_line_bytes: int = Field(default=1024 * 1024, gt=0)
    """Longest JSON line, and largest plain-text document."""
    batch_records: int = Field(default=500, gt=0)
    """Records that wait for their acknowledgement together."""
