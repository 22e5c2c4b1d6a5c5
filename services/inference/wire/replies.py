"""OpenAI's answers: completions, chunks, embeddings, models and errors."""

import base64
from dataclasses import dataclass
from typing import Any, ClassVar, Final

import numpy as np
from numpy.typing import NDArray
from pydantic_core import to_json

from services.inference.domain.generation import Answered, Delta, Finish, Token

DONE: Final = b"data: [DONE]\n\n"


@dataclass(frozen=True)
class Replies:
    """Writes the answers to one request. All carry ``generation_id``, that of the first choice;
    each choice carries its own. ``logprobs``, ``include_usage``: they were asked for."""

    generation_id: str
    application: str
    release_digest: str
    created: int
    logprobs: bool = False
    include_usage: bool = False

    def completion(self, answers: list[Answered]) -> bytes:
        choices = [
            {"index": index, **self._whole(answer), "generation_id": answer.generation_id}
            for index, answer in enumerate(answers)
        ]
        usage = _usage([answer.finish for answer in answers])
        return _json({**self._head(self._kind), "choices": choices, "usage": usage})

    def opening(self, index: int, generation_id: str) -> bytes:
        """A choice's first chunk: the role."""
        choice = {"delta": {"role": "assistant", "content": ""}, "logprobs": None}
        return self._chunk(index, choice, None, {"generation_id": generation_id})

    def chunk(self, index: int, piece: Delta | Finish) -> bytes:
        if isinstance(piece, Finish):
            return self._chunk(index, self._piece("", ()), piece.reason, {})
        return self._chunk(index, self._piece(piece.text, piece.tokens), None, {})

    def usage(self, ends: list[Finish]) -> bytes:
        """The chunk asked for by ``stream_options.include_usage``."""
        return event({**self._head(self._chunk_kind), "choices": [], "usage": _usage(ends)})

    _kind: ClassVar[str] = "chat.completion"
    _chunk_kind: ClassVar[str] = "chat.completion.chunk"

    def _whole(self, answer: Answered) -> dict[str, Any]:
        return {
            "message": {"role": "assistant", "content": answer.text, "refusal": None},
            "logprobs": self._logprobs(answer.tokens),
            "finish_reason": answer.finish.reason,
        }

    def _piece(self, text: str, tokens: tuple[Token, ...]) -> dict[str, Any]:
        delta = {"content": text} if text or tokens else {}
        return {"delta": delta, "logprobs": self._logprobs(tokens) if tokens else None}

    def _logprobs(self, tokens: tuple[Token, ...]) -> dict[str, Any] | None:
        if not self.logprobs:
            return None
        content = [
            {
                "token": token.raw.decode(errors="replace"),
                "logprob": round(token.logprob, 6),
                "bytes": list(token.raw),
                "top_logprobs": [],
            }
            for token in tokens
        ]
        return {"content": content, "refusal": None}

    def _chunk(
        self, index: int, choice: dict[str, Any], reason: str | None, more: dict[str, str]
    ) -> bytes:
        whole = {"index": index, **choice, "finish_reason": reason, **more}
        usage = {"usage": None} if self.include_usage else {}
        return event({**self._head(self._chunk_kind), "choices": [whole], **usage})

    def _head(self, kind: str) -> dict[str, Any]:
        return {
            "id": self.generation_id,
            "object": kind,
            "created": self.created,
            "model": self.application,
            "system_fingerprint": self.release_digest[:16],
        }


class TextReplies(Replies):
    """The same in the form of the older completions: text, no messages."""

    _kind = "text_completion"
    _chunk_kind = "text_completion"

    def opening(self, index: int, generation_id: str) -> bytes:
        choice = {"text": "", "logprobs": None}
        return self._chunk(index, choice, None, {"generation_id": generation_id})

    def _whole(self, answer: Answered) -> dict[str, Any]:
        logprobs = self._logprobs(answer.tokens)
        return {"text": answer.text, "logprobs": logprobs, "finish_reason": answer.finish.reason}

    def _piece(self, text: str, tokens: tuple[Token, ...]) -> dict[str, Any]:
        return {"text": text, "logprobs": self._logprobs(tokens) if tokens else None}

    def _logprobs(self, tokens: tuple[Token, ...]) -> dict[str, Any] | None:
        if not self.logprobs:
            return None
        texts = [token.raw.decode(errors="replace") for token in tokens]
        starts = [sum(map(len, texts[:index])) for index in range(len(texts))]
        return {
            "tokens": texts,
            "token_logprobs": [round(token.logprob, 6) for token in tokens],
            "top_logprobs": None,
            "text_offset": starts,
        }


def embeddings(application: str, rows: NDArray[np.float32], tokens: int, *, as_text: bool) -> bytes:
    """``(texts, dimensions)`` float32 as lists, or as base64 of little-endian float32."""

    def told(row: NDArray[np.float32]) -> object:
        return base64.b64encode(row.astype("<f4").tobytes()).decode() if as_text else row.tolist()

    data = [
        {"object": "embedding", "index": index, "embedding": told(row)}
        for index, row in enumerate(rows)
    ]
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    return _json({"object": "list", "data": data, "model": application, "usage": usage})


def _usage(ends: list[Finish]) -> dict[str, int]:
    # The prompt is one, however many choices it has.
    asked = max(end.prompt_tokens for end in ends)
    answered = sum(end.completion_tokens for end in ends)
    return {
        "prompt_tokens": asked,
        "completion_tokens": answered,
        "total_tokens": asked + answered,
    }


def model(application: str) -> dict[str, object]:
    return {"id": application, "object": "model", "created": 0, "owned_by": "perennial"}


def error(message: str, kind: str, code: str, param: str | None = None) -> dict[str, object]:
    """OpenAI's error body."""
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}


def event(value: object) -> bytes:
    """A server-sent event; an error, too, once a stream has begun."""
    return b"data: " + _json(value) + b"\n\n"


def _json(value: object) -> bytes:
    return to_json(value)  # in a fifth of the time that json takes
