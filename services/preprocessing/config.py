"""Preprocessing's settings."""

from pydantic import Field

from libs.runtime.config import KafkaSettings, S3Settings, ServiceSettings, SqlSettings


class Settings(ServiceSettings):
    kafka: KafkaSettings
    s3: S3Settings
    sql: SqlSettings
    languages: tuple[str, ...] = ()
    """ISO 639 codes of what becomes a row; empty: every language."""
    catch_up_s: float = Field(default=120.0, ge=0)
    """How long a dataset waits for the records that were on the log before it was asked for."""
