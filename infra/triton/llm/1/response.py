"""What is known of an answer to tensors."""

from typing import Any

import numpy
import triton_python_backend_utils as pb_utils
from request import Request
from text import spelled


def special_tokens(tokenizer: Any) -> frozenset[int]:
    """Tokens that end or mark a text and are no part of it."""
    added = tokenizer.get_added_tokens_decoder().items()
    return frozenset(number for number, token in added if token.special)


def pieces(request: Request, tokenizer: Any, special: frozenset[int]) -> list[Any]:
    """The text since the last response, or the whole where no deltas are wanted; the tokens
    since the last response with their log-probabilities, where these are."""
    text = request.unsent if request.delta and request.streaming else request.whole
    tensors = [_tensor("text_output", [text.encode()], numpy.object_)]
    if request.return_log_probs:
        fresh = [one for one in request.fresh if one[0] not in special]
        raw = [spelled(tokenizer.id_to_token(token)) for token, _ in fresh]
        scores = [score for _, score in fresh]
        tensors.append(_tensor("output_tokens", raw, numpy.object_))
        tensors.append(_tensor("output_log_probs", scores, numpy.float32))
    request.fresh.clear()
    return tensors


def figures(request: Request, reason: str) -> list[Any]:
    """What the last response says besides."""
    tensors = []
    if request.return_finish_reason:
        tensors.append(_tensor("finish_reason", [reason.encode()], numpy.object_))
    if request.return_cumulative_logprob:
        tensors.append(_tensor("cumulative_logprob", [request.logprob], numpy.float32))
    if request.return_num_tokens:
        tensors.append(_tensor("num_input_tokens", [len(request.ids)], numpy.int32))
        tensors.append(_tensor("num_output_tokens", [request.num_output_tokens], numpy.int32))
    return tensors


def error_response(message: str, code: str) -> Any:
    """``code`` is a name: ``pb_utils`` has its classes only once the model is made."""
    error = pb_utils.TritonError(message, getattr(pb_utils.TritonError, code))
    return pb_utils.InferenceResponse(error=error)


def _tensor(name: str, values: list[Any], dtype: Any) -> Any:
    return pb_utils.Tensor(name, numpy.array(values, dtype=dtype))
