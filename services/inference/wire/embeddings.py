"""OpenAI's embeddings: the request."""

from dataclasses import dataclass
from typing import Any, Final

from pydantic import BaseModel, ConfigDict

from services.inference.wire.ask import BadParameter, encodable
from services.inference.wire.body import parsed

MAX_TEXTS: Final = 256
MAX_TEXT_CHARACTERS: Final = 32 * 1024
FORMATS: Final = frozenset({"float", "base64"})


class EmbeddingBody(BaseModel):
    model_config = ConfigDict(extra="allow", strict=True)

    model: str
    input: str | list[Any]
    encoding_format: str | None = None
    dimensions: int | None = None
    user: str | None = None


@dataclass(frozen=True, slots=True)
class Wanted:
    """``as_text``: each vector as base64."""

    model: str
    texts: tuple[str, ...]
    as_text: bool


def wanted(body: bytes) -> Wanted:
    """The request, validated.

    Raises:
        BadParameter: names the parameter.
    """
    read = parsed(EmbeddingBody, body)
    if read.dimensions is not None:
        raise BadParameter("dimensions", "is not supported here", code="unsupported_parameter")
    if read.encoding_format not in FORMATS | {None}:
        raise BadParameter("encoding_format", f"is not one of {sorted(FORMATS)}")
    given = [read.input] if isinstance(read.input, str) else read.input
    for index, text in enumerate(given):
        if isinstance(text, int | list):
            raise BadParameter("input", "token ids are not supported", code="unsupported_parameter")
        if not isinstance(text, str):
            raise BadParameter(f"input[{index}]", "must be text", code="invalid_type")
    texts = checked_texts("input", tuple(given))
    return Wanted(read.model, texts, read.encoding_format == "base64")


def checked_texts(param: str, texts: tuple[str, ...]) -> tuple[str, ...]:
    """``texts`` themselves, when they keep every bound.

    Raises:
        BadParameter: names ``param``.
    """
    if not 1 <= len(texts) <= MAX_TEXTS:
        raise BadParameter(param, f"{len(texts)} of them; 1 to {MAX_TEXTS} are taken")
    for index, text in enumerate(texts):
        if not text.strip() or not encodable(text):
            raise BadParameter(f"{param}[{index}]", "must be text, and not empty")
        if len(text) > MAX_TEXT_CHARACTERS:
            raise BadParameter(
                f"{param}[{index}]", f"above {MAX_TEXT_CHARACTERS} characters", code="too_long"
            )
    return texts
