"""Tensors of one request to values, with the refusals a caller can act on."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import triton_python_backend_utils as pb_utils

DEFAULT_MAX_TOKENS = 32
MAX_GUIDE_BYTES = 64 * 1024
MAX_PENALTY = 2.0
JSON_SCHEMA = "json_schema"
"""The one kind of guide that is taken."""


class Refused(ValueError):
    """What the caller asks for cannot be done; the message is for the caller."""


@dataclass(frozen=True)
class Adapter:
    """A LoRA adapter beside the weights; engines that cannot have one do not declare its tensors.

    Args:
        id: at least 1; an id never names another path.
        path: on the engine's host; what it holds never changes.
    """

    id: int
    name: str
    path: str


@dataclass(eq=False)
class Request:
    """What is asked, and how far the answer is: ``given`` are its tokens. ``engine`` and ``model``
    write the latter."""

    ids: list[int]
    max_tokens: int
    temperature: float
    top_p: float
    top_k: int
    seed: int
    frequency_penalty: float
    presence_penalty: float
    min_tokens: int
    json_schema: str
    stop: list[str]
    streaming: bool
    delta: bool
    return_finish_reason: bool
    return_cumulative_logprob: bool
    return_num_tokens: bool
    return_log_probs: bool
    whole: str
    unsent: str
    adapter: Adapter | None = None
    sender: Any = None
    handle: Any = None
    text: Any = None
    given: list[int] = field(default_factory=list)
    logprob: float = 0.0
    fresh: list[tuple[int, float]] = field(default_factory=list)
    sent_at: float = 0.0
    ended: bool = False

    @property
    def num_output_tokens(self) -> int:
        return len(self.given)

    @property
    def next_seed(self) -> int:
        """Of what is still to come. Runtimes begin their random numbers anew with each request, so
        an answer that is gone on with has another seed, or it would be drawn as it was before: the
        first 8 bytes of sha256("SEED:TOKENS SO FAR")."""
        if not self.given:
            return self.seed
        told = f"{self.seed}:{self.num_output_tokens}".encode()
        return int.from_bytes(hashlib.sha256(told).digest()[:8], "big")


def read(raw: Any, tokenizer: Any, render: Callable[..., str], context_tokens: int) -> Request:
    """A checked request.

    Args:
        render: list of chat messages to a prompt.
        context_tokens: bound of prompt and answer together.
    Raises:
        Refused: a value is out of its range.
    """
    prompt = next(iter(_strings(raw, "text_input")), "")
    if _scalar(raw, "apply_chat_template", False):
        prompt = render([{"role": "user", "content": prompt}], add_generation_prompt=True)
    echoed = "" if _scalar(raw, "sampling_param_exclude_input_from_output", True) else prompt
    request = Request(
        ids=tokenizer.encode(prompt, add_special_tokens=False).ids,
        max_tokens=int(_scalar(raw, "sampling_param_max_tokens", DEFAULT_MAX_TOKENS)),
        temperature=float(_scalar(raw, "sampling_param_temperature", 0.0)),
        top_p=float(_scalar(raw, "sampling_param_top_p", 1.0)) or 1.0,
        top_k=int(_scalar(raw, "sampling_param_top_k", 0)),
        seed=int(_scalar(raw, "sampling_param_seed", 0)),
        frequency_penalty=float(_scalar(raw, "sampling_param_frequency_penalty", 0.0)),
        presence_penalty=float(_scalar(raw, "sampling_param_presence_penalty", 0.0)),
        min_tokens=int(_scalar(raw, "sampling_param_min_tokens", 0)),
        json_schema=_guide(raw),
        stop=_strings(raw, "sampling_param_stop"),
        streaming=_flag(raw, "streaming"),
        delta=_flag(raw, "delta"),
        return_finish_reason=_flag(raw, "return_finish_reason"),
        return_cumulative_logprob=_flag(raw, "return_cumulative_logprob"),
        return_num_tokens=_flag(raw, "return_num_tokens"),
        return_log_probs=_flag(raw, "return_log_probs"),
        whole=echoed,
        unsent=echoed,
        adapter=_adapter(raw),
    )
    _check(request, context_tokens)
    return request


def _adapter(raw: Any) -> Adapter | None:
    names = ("lora_id", "lora_name", "lora_path")
    number, name, path = (next(iter(_values(raw, tensor)), None) for tensor in names)
    if number is None and name is None and path is None:
        return None
    if number is None or not name or not path:
        raise Refused("lora_id, lora_name and lora_path come together")
    return Adapter(int(number), _strings(raw, "lora_name")[0], _strings(raw, "lora_path")[0])


def _guide(raw: Any) -> str:
    """A JSON schema for the answer, or "". The caller has checked that an engine can follow it."""
    kind = next(iter(_strings(raw, "guided_decoding_guide_type")), "")
    guide = next(iter(_strings(raw, "guided_decoding_guide")), "")
    if not kind and not guide:
        return ""
    if kind != JSON_SCHEMA:
        raise Refused(f"guided_decoding_guide_type must be {JSON_SCHEMA}")
    if len(guide.encode()) > MAX_GUIDE_BYTES:
        raise Refused(f"guided_decoding_guide is above {MAX_GUIDE_BYTES} bytes")
    try:
        schema = json.loads(guide)
    except (ValueError, RecursionError) as error:
        raise Refused("guided_decoding_guide is not JSON") from error
    if not isinstance(schema, dict):
        raise Refused("guided_decoding_guide is not a JSON schema")
    return guide


def _check(request: Request, context_tokens: int) -> None:
    prompt = len(request.ids)
    if not prompt:
        raise Refused("text_input is empty")
    if request.max_tokens < 1:
        raise Refused("sampling_param_max_tokens must be at least 1")
    if prompt + request.max_tokens > context_tokens:
        raise Refused(
            f"{prompt} prompt tokens and {request.max_tokens} new ones exceed {context_tokens}"
        )
    if not 0.0 <= request.temperature <= 100.0:
        raise Refused("sampling_param_temperature must lie between 0 and 100")
    if not 0.0 < request.top_p <= 1.0:
        raise Refused("sampling_param_top_p must lie above 0 and not above 1")
    if request.top_k < 0:
        raise Refused("sampling_param_top_k must not be negative")
    if not 0 <= request.min_tokens <= request.max_tokens:
        raise Refused("sampling_param_min_tokens must lie between 0 and sampling_param_max_tokens")
    for name in ("frequency_penalty", "presence_penalty"):
        if not -MAX_PENALTY <= getattr(request, name) <= MAX_PENALTY:
            raise Refused(f"sampling_param_{name} must lie between -2 and 2")


def _values(raw: Any, name: str) -> list[Any]:
    tensor = pb_utils.get_input_tensor_by_name(raw, name)
    return [] if tensor is None else list(tensor.as_numpy().reshape(-1).tolist())


def _scalar(raw: Any, name: str, default: Any) -> Any:
    return next(iter(_values(raw, name)), default)


def _flag(raw: Any, name: str) -> bool:
    return bool(_scalar(raw, name, False))


def _strings(raw: Any, name: str) -> list[str]:
    try:
        return [value.decode() for value in _values(raw, name)]
    except UnicodeDecodeError as error:
        raise Refused(f"{name} is not UTF-8") from error
