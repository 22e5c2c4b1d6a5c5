"""What is asked of one evaluation."""

from dataclasses import dataclass

from services.evaluation.domain.gate import Gate


@dataclass(frozen=True, slots=True)
class File:
    """A content-addressed file in the artifact store."""

    uri: str
    sha256: str
    size_bytes: int
    media_type: str


@dataclass(frozen=True, slots=True)
class Model:
    """``weights`` are merged safetensors, ``engine`` is a GGUF; the base model has neither:
    this machine holds it."""

    digest: str
    weights: File | None = None
    engine: File | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """A held-out row; ``message`` is the prompt in the application's prompt template."""

    record_id: str
    segment: str
    message: str
    answer: str
    generated: bool  # the models answer it, for the text metrics


@dataclass(frozen=True, slots=True)
class Task:
    campaign_id: str
    application: str
    candidate: Model
    reference: Model  # the champion, or the base model where there is none
    held_out: File
    prompt_template: str
    gate: Gate
    generated_rows: int  # per segment
    max_tokens: int  # new tokens per answer
