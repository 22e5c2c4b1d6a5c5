"""Evaluation's settings."""

from pathlib import Path

from pydantic import Field

from libs.runtime.config import KafkaSettings, S3Settings, SqlSettings, StatefulSettings


class Settings(StatefulSettings):
    kafka: KafkaSettings
    s3: S3Settings
    sql: SqlSettings
    model_python: Path
    """Python of the environment that has torch and OpenVINO."""
    base_model: Path
    """Directory of the base model: config.json, model.safetensors, tokenizer.json, and a
    ``*.gguf`` of the same weights where there is one."""
    threads: int = Field(default=2, gt=0)
    """Of one scoring; more than the free cores makes it slower."""
    score_timeout_s: float = Field(default=1800.0, gt=0)
    """For one model on all rows, before the attempt is given up."""
    lease_s: float = Field(default=30.0, gt=0)
    """How soon another process takes over the job of one that died."""
