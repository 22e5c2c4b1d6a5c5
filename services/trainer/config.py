"""The trainer's settings."""

from pathlib import Path

from pydantic import Field

from libs.runtime.config import (
    DoorSettings,
    KafkaSettings,
    OperatorSettings,
    S3Settings,
    Section,
    SqlSettings,
    StatefulSettings,
)


class TensorRtSettings(Section):
    """Engines for the GPUs of this host, by TensorRT-LLM."""

    image: str
    """Release of Triton's image with TensorRT-LLM, e.g. 26.07."""
    image_digest: str = Field(pattern=r"^sha256:[0-9a-f]{64}$")
    """Two images of one release make different engines."""
    inside: bool = False
    """This process runs in that image; else docker takes each command there."""
    tensor_parallel: int = Field(default=1, ge=1)
    """GPUs that share one engine."""
    calibration: Path | None = None
    """Directory of the data set that quantization is fitted on; bf16 needs none."""


class Settings(OperatorSettings, StatefulSettings):
    kafka: KafkaSettings
    s3: S3Settings
    sql: SqlSettings
    rpc: DoorSettings
    model_python: Path
    """Interpreter of the model environment; torch is not in this one."""
    base_model: Path
    """Directory with config.json, model.safetensors, tokenizer.json, chat_template.jinja; and
    tokenizer_config.json, for the tokens that the template may write."""
    tensorrt: TensorRtSettings | None = None
    """Absent: engines are built for CPUs alone."""
    threads: int = Field(default=2, ge=1)
    """Of one training job; more than the machine's cores makes it slower."""
    max_tokens: int = Field(default=1024, ge=16)
    """Longest pair that is trained on; longer rows are left out and counted."""
    gate_rows: int = Field(default=16, ge=8)
    """Held-out rows on which an engine is compared with its weights; 16 take 15 s on two cores."""
    build_timeout_s: float = Field(default=1800.0, gt=0)
    """Of a build's conversion, and of its measuring, before the attempt is given up."""
    lease_s: float = Field(default=20.0, gt=0)
    """How long after a kill a run waits before another worker takes it."""
    heartbeat_s: float = Field(default=2.0, gt=0)
    """How often the lease is renewed; also how soon a cancellation is heard."""
