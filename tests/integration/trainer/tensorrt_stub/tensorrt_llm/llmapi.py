"""The part of ``tensorrt_llm.llmapi`` that the engine uses; its answer repeats the prompt for ever.

Prompts that begin with "slow" wait between tokens, with "refuse" and "crash" fail like the engine.
"""

import asyncio
import json
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from tokenizers import Tokenizer

STARTED: list[int] = []


class RequestError(RuntimeError):
    """The engine's word for a request that it would not answer."""


@dataclass
class LoRARequest:
    lora_name: str
    lora_int_id: int
    lora_path: str


@dataclass(kw_only=True)
class GuidedDecodingParams:
    json: Any = None
    json_object: bool = False


@dataclass(kw_only=True)
class SamplingParams:
    max_tokens: int = 32
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    seed: int | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    min_tokens: int | None = None
    logprobs: int | None = None
    detokenize: bool = True
    guided_decoding: GuidedDecodingParams | None = None


@dataclass
class Logprob:
    logprob: float


@dataclass
class Output:
    token_ids: list[int] = field(default_factory=list)
    logprobs: list[dict[int, Logprob]] = field(default_factory=list)
    finish_reason: str | None = None


class Answer:
    def __init__(self, ids: list[int], text: str, parameters: SamplingParams) -> None:
        self.outputs = [Output()]
        self._ids, self._text, self._parameters = ids, text, parameters
        self._aborted = False

    def abort(self) -> None:
        self._aborted = True

    def __aiter__(self) -> "Answer":
        return self

    async def __anext__(self) -> "Answer":
        output = self.outputs[0]
        if output.finish_reason or self._aborted:
            raise StopAsyncIteration
        if self._text.startswith("refuse"):
            raise RequestError("Traceback: a secret path")
        if self._text.startswith("crash"):
            raise RuntimeError("Traceback: a secret path")
        await asyncio.sleep(0.05 if self._text.startswith("slow") else 0.002)
        token = self._ids[len(output.token_ids) % len(self._ids)]
        output.token_ids.append(token)
        if self._parameters.logprobs is not None:
            output.logprobs.append({token: Logprob(-0.5)})
        if len(output.token_ids) >= self._parameters.max_tokens:
            output.finish_reason = "length"
        return self


class LLM:
    def __init__(self, **arguments: Any) -> None:
        STARTED.append(len(STARTED))
        model = Path(arguments["model"])
        self._tokenizer = Tokenizer.from_file(str(model / "tokenizer.json"))
        (model / "arguments.json").write_text(json.dumps(arguments))
        self.tokenizer = SimpleNamespace(
            apply_chat_template=lambda messages, **_: "".join(m["content"] for m in messages)
        )

    def generate_async(
        self,
        inputs: list[int],
        sampling_params: SamplingParams,
        lora_request: LoRARequest | None = None,
        streaming: bool = False,
    ) -> Answer:
        assert streaming
        asyncio.get_running_loop()  # the real one needs the loop that its answer is read on
        text = self._tokenizer.decode(inputs)
        if sampling_params.guided_decoding is not None:
            inputs = self._tokenizer.encode(f"{sampling_params.guided_decoding.json} ").ids
        if lora_request is not None:
            inputs = self._tokenizer.encode(f"{lora_request.lora_name} ").ids
        return Answer(inputs, text, sampling_params)

    def shutdown(self) -> None:
        """Nothing to end."""
