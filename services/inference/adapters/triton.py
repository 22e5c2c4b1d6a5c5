"""Generation and embedding through Triton's gRPC, always by ModelStreamInfer for engines."""

import asyncio
import math
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import grpc
import numpy as np
import structlog
from numpy.typing import NDArray
from tritonclient.grpc import service_pb2 as kserve
from tritonclient.grpc import service_pb2_grpc

from libs.faults import Poison, Retryable
from services.inference.adapters import tensors
from services.inference.domain.generation import Delta, Finish, Sampling, Token
from services.inference.domain.release import model_name
from services.inference.ports import ContextExceeded, EngineFailed

log = structlog.get_logger()

OPTIONS: Final = [
    ("grpc.max_receive_message_length", 16 * 1024 * 1024),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1000),
]
STATUS_ERRORS: Final = (("triton_grpc_error", "true"),)
"""Asks Triton to end a failed stream with a gRPC status instead of a bare text."""
BUSY: Final = "requests are running"
"""In the engine's message when it takes no more requests for now."""
BEYOND: Final = "prompt tokens and"
"""In the engine's message when they and the new ones are more than its context."""
DOWN: Final = ("is not healthy", "no available versions", "not at ready state", "unknown model")
"""In Triton's messages for an engine that is gone."""
FINISHED: Final = frozenset({"stop", "length"})
MAX_EMBEDDING_BATCH: Final = 32


def connect(address: str) -> grpc.aio.Channel:
    """A channel to Triton at host:port. Triton is on loopback or in the pod: no TLS."""
    return grpc.aio.insecure_channel(address, options=OPTIONS)


@dataclass(slots=True)
class _Ending:
    """What the responses of one stream said besides text."""

    reason: str = ""
    numbers: dict[str, float] = field(default_factory=dict)

    def finish(self) -> Finish:
        logprob = self.numbers.get("cumulative_logprob")
        return Finish(
            reason=self.reason if self.reason in FINISHED else "stop",
            prompt_tokens=int(self.numbers.get("num_input_tokens", 0)),
            completion_tokens=int(self.numbers.get("num_output_tokens", 0)),
            cumulative_logprob=logprob if logprob is None or math.isfinite(logprob) else None,
        )


@dataclass(frozen=True, slots=True)
class TritonGenerator:
    """One stream per request, so that closing one touches no other."""

    channel: grpc.aio.Channel
    _calls: set[tuple[str, Any]] = field(default_factory=set)
    """Streams under way, with the digest of their engine."""

    def drop(self, digest: str) -> None:
        """End the engine's streams as ``engine_down``: Triton lets them wait for a process that
        is no more."""
        for each in [each for each in self._calls if each[0] == digest]:
            self._calls.discard(each)
            each[1].cancel()

    async def generate(
        self, digest: str, prompt: str, sampling: Sampling, timeout_s: float
    ) -> AsyncGenerator[Delta | Finish, None]:
        stub: Any = service_pb2_grpc.GRPCInferenceServiceStub(self.channel)
        request = tensors.request(model_name(digest), prompt, sampling)
        call = stub.ModelStreamInfer(timeout=timeout_s, metadata=STATUS_ERRORS)
        self._calls.add((digest, call))
        ending, final = _Ending(), False
        try:
            await call.write(request)
            await call.done_writing()
            async for answer in call:
                if answer.error_message:
                    raise _failure(answer.error_message)
                delta = _read(answer.infer_response, ending)
                if delta.text or delta.tokens:
                    yield delta
                final = final or tensors.is_final(answer.infer_response)
            if not final:
                raise EngineFailed("the engine's stream ended early", code="engine_down")
            yield ending.finish()
        except grpc.aio.AioRpcError as error:
            raise _rpc_failure(error) from error
        except asyncio.CancelledError:
            if (digest, call) in self._calls:
                raise
            raise EngineFailed("the engine is away", code="engine_down") from None
        finally:
            self._calls.discard((digest, call))
            # Not after the final response: Triton 2.51 then keeps the request for ever, and
            # with it the engine, which could not be unloaded any more. The loop above has
            # read to the stream's end, so there is nothing left to cancel.
            if not final:
                call.cancel()


def _read(response: kserve.ModelInferResponse, ending: _Ending) -> Delta:
    text = ""
    tokens: list[bytes] = []
    logprobs: list[float] = []
    for output, raw in zip(response.outputs, response.raw_output_contents, strict=False):
        match output.name:
            case "text_output":
                text += "".join(tensors.texts(raw))
            case "finish_reason":
                ending.reason = tensors.first_text(raw) or ending.reason
            case "output_tokens":
                tokens += tensors.elements(raw)
            case "output_log_probs":
                logprobs += tensors.floats(raw)
            case name:
                value = tensors.number(output.datatype, raw)
                if value is not None:
                    ending.numbers[name] = value
    return Delta(text, tuple(map(Token, tokens, logprobs)))


def _failure(message: str) -> EngineFailed:
    """Triton's text stays in our log: it may hold paths and tracebacks."""
    log.warning("engine.failed", message=message[:2000])
    if any(part in message.lower() for part in DOWN):
        return EngineFailed("the engine is away", code="engine_down")
    return EngineFailed("the engine failed", code="engine_error")


def _rpc_failure(error: grpc.aio.AioRpcError) -> EngineFailed | Poison:
    details = error.details() or ""
    match error.code():
        case grpc.StatusCode.DEADLINE_EXCEEDED:
            return EngineFailed("the answer took too long", code="deadline")
        case grpc.StatusCode.INVALID_ARGUMENT:
            message = details.splitlines()[0][:200] if details else "bad parameters"
            if BEYOND in message:
                return ContextExceeded(f"the engine refuses: {message}")
            return Poison(f"the engine refuses: {message}", code="refused_by_engine")
        case grpc.StatusCode.UNAVAILABLE if BUSY in details:
            return EngineFailed("the engine takes no more requests now", code="engine_busy")
        case grpc.StatusCode.UNAVAILABLE | grpc.StatusCode.NOT_FOUND:
            log.warning("engine.away", message=details[:500])
            return EngineFailed("the engine is away", code="engine_down")
        case _:
            return _failure(details)


@dataclass(frozen=True, slots=True)
class TritonEmbedder:
    """The embedding model, in batches."""

    channel: grpc.aio.Channel
    model: str
    timeout_s: float

    async def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        return np.concatenate([tensors.embeddings(answer) for answer in await self._all(texts)])

    async def embed_all(self, texts: Sequence[str]) -> tuple[NDArray[np.float32], int]:
        answers = await self._all(texts)
        cut = np.concatenate([tensors.counts(answer, "num_cut_tokens") for answer in answers])
        if cut.any():
            raise Poison(
                f"{int(cut[cut > 0][0])} tokens more than the embedding model takes",
                code="too_long",
                param=f"input[{int(np.argmax(cut > 0))}]",
            )
        tokens = sum(int(tensors.counts(each, "num_input_tokens").sum()) for each in answers)
        return np.concatenate([tensors.embeddings(answer) for answer in answers]), tokens

    async def _all(self, texts: Sequence[str]) -> list[kserve.ModelInferResponse]:
        stub: Any = service_pb2_grpc.GRPCInferenceServiceStub(self.channel)
        answers = []
        for start in range(0, len(texts), MAX_EMBEDDING_BATCH):
            batch = list(texts[start : start + MAX_EMBEDDING_BATCH])
            request = tensors.embedding_request(self.model, batch)
            try:
                answers.append(await stub.ModelInfer(request, timeout=self.timeout_s))
            except (grpc.aio.AioRpcError, ValueError) as error:
                raise Retryable(f"embedding: {str(error)[:200]}") from error
        return answers
