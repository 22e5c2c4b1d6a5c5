"""Inference's own settings."""

import socket
from pathlib import Path
from typing import Self

from pydantic import Field, SecretStr, model_validator

from libs.runtime.config import DoorSettings, KafkaSettings, S3Settings, Section, StatefulSettings


class GpuSettings(Section):
    """The TensorRT-LLM in the Triton beside this process; engines for another are refused."""

    image: str = Field(min_length=1)
    """Release of its image, e.g. 26.07."""
    tensorrt_llm: str = Field(min_length=1)
    """Version, e.g. 1.2.1."""
    hardware: str = Field(pattern=r"^sm_\d+$")
    """Compute capability of its GPUs, e.g. sm_90."""
    gpus: int = Field(ge=1)


class TritonSettings(Section):
    address: str = "127.0.0.1:8001"
    """host:port of the gRPC door of the Triton beside this process."""
    others: tuple[str, ...] = ()
    """host:port of further ones, as a JSON list; they share its model repository and the state
    directory's engines. Embeddings are the first one's."""
    repository_token: SecretStr
    """Guards Triton's model control; Triton is started with the same."""
    model_repository: Path
    """Triton's, where this process writes ``llm-*`` directories."""
    templates: Path = Path("infra/triton/llm")
    """config.pbtxt and 1/model.py of an engine."""
    gpu: GpuSettings | None = None
    """Absent: it serves engines for CPUs alone."""
    cache_size_gb: float = Field(default=0.3, gt=0)
    """Key-value cache of each engine, GB: the bound on its concurrent tokens."""
    memory_reserve_gb: float = Field(default=0.5, ge=0)
    """Stays free of engines: a load that would take it is refused. Of this machine, or of the
    control group that this process runs in."""
    embedding_model: str = "embedding"
    embed_s: float = Field(default=5.0, gt=0)
    load_s: float = Field(default=300.0, gt=0)
    """A load takes seconds on a free machine, and a minute on a busy one."""

    @model_validator(mode="after")
    def _strong(self) -> Self:
        if len(self.repository_token.get_secret_value()) < 16:
            raise ValueError("repository_token is shorter than 16 characters")
        return self


class ProviderSettings(Section):
    """External providers. In the names of ``keys`` and ``addresses`` a dash is an underscore."""

    keys: dict[str, SecretStr] = Field(default_factory=dict)
    """``PERENNIAL_PROVIDERS__KEYS__NAME=key``; empty for a provider that wants none. A provider
    without a key is never called."""
    keys_dir: Path | None = None
    """A directory with one file for each provider, read again when it changes."""
    addresses: dict[str, str] = Field(default_factory=dict)
    """``PERENNIAL_PROVIDERS__ADDRESSES__NAME=https://.../v1``: the only base URL that gets the
    key of NAME."""


class Settings(StatefulSettings):
    kafka: KafkaSettings
    s3: S3Settings
    rpc: DoorSettings
    http: DoorSettings
    triton: TritonSettings
    providers: ProviderSettings = ProviderSettings()
    workers: int = Field(default=1, ge=1)
    """Processes that answer behind the ports; worker N has its ops port N further, and its spool
    in STATE_DIR/workers/N. Bounds below are of all of them."""
    replica: str = Field(default_factory=socket.gethostname, min_length=1)
    """Name of this process in its reports."""
    generate_s: float = Field(default=120.0, gt=0)
    """Longest answer, seconds."""
    max_requests: int = Field(default=56, ge=1)
    """Requests under way at once; an engine takes 64, and mirrors and probes need a place."""
    max_mirrors: int = Field(default=32, ge=1)
    """Sampled answers that wait to be mirrored."""
    spool_max_bytes: int = Field(default=256 * 1024 * 1024, ge=1024 * 1024)
    """Events kept on disk while Kafka is away; above it they are counted lost."""
    cache_max_bytes: int = Field(default=64 * 1024 * 1024, ge=0)
    """Of answers kept for applications that ask for a cache."""
    probe_every_s: float = Field(default=3.0, gt=0)
    """Between two looks at an engine: each asks it for a token."""
    unload_grace_s: float = Field(default=60.0, ge=0)
    """For requests under way on an engine that is no longer routed; with several workers it is
    always waited for, as one does not see the others' requests."""

    @model_validator(mode="after")
    def _ports_to_share(self) -> Self:
        if self.workers > 1 and 0 in {self.rpc.port, self.http.port, self.ops.port}:
            raise ValueError("several workers share ports: name them, 0 is another for each")
        return self

    def part(self, bound: int) -> int:
        """Of a bound, what one worker has of it."""
        return max(1, bound // self.workers)
